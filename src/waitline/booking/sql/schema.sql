-- name: has_tables()^
-- Check whether the tables of the box office were ever created.
-- locks: nothing
-- returns: one row
SELECT to_regclass('alembic_version') IS NOT NULL AS found;

-- name: schema_step()^
-- Read the last migration that was applied.
-- locks: nothing
-- returns: one row, or none before the first migration
SELECT version_num AS step FROM alembic_version;

-- name: schema_works_from()^
-- Read the oldest version that the tables serve, by its last migration.
-- locks: nothing
-- returns: one row
SELECT step FROM schema_works_from;
