-- name: ping()^
-- Health check of the database.
-- locks: nothing
-- returns: one row
SELECT true AS up;
