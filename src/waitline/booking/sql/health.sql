-- name: ping()^
-- Health check of the database: whether it takes writes. The update changes no row, but a read-only
-- server refuses it; the transaction id makes this a transaction that is written.
-- locks: nothing
-- returns: one row
WITH refused AS (
    UPDATE outbox SET attempts = attempts WHERE false RETURNING event_no
)
SELECT pg_current_xact_id() IS NOT NULL AS up FROM (SELECT count(*) FROM refused) AS counted;

-- name: lossy_settings()
-- List settings with which the server may lose or damage what it has acknowledged.
-- locks: nothing
-- returns: one row per setting that is off
SELECT n.name FROM unnest(ARRAY['fsync', 'full_page_writes', 'synchronous_commit']) AS n (name)
WHERE current_setting(n.name) = 'off' ORDER BY n.name;
