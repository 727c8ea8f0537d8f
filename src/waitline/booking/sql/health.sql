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

-- name: server_clock()^
-- Read the server's clock, and how many connections it allows.
-- locks: nothing
-- returns: one row
SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms,
    current_setting('max_connections')::int AS connections_max;

-- name: server_figures()^
-- Read the server's statistics for metrics. A figure that the user may not see is null.
-- locks: nothing
-- returns: one row
SELECT c.active, c.idle, c.in_transaction, c.other, c.lock_waits, c.oldest_s,
    current_setting('max_connections')::int AS connections_max,
    d.xact_commit AS committed, d.xact_rollback AS rolled_back, d.blks_hit AS cached, d.blks_read AS read,
    d.deadlocks, pg_database_size(d.datname) AS size_bytes, r.replicas, r.replica_lag_bytes,
    pg_postmaster_start_time() AS started
FROM pg_stat_database AS d CROSS JOIN (
    SELECT count(*) FILTER (WHERE a.state = 'active') AS active,
        count(*) FILTER (WHERE a.state = 'idle') AS idle,
        count(*) FILTER (WHERE a.state LIKE 'idle in transaction%') AS in_transaction,
        count(*) FILTER (WHERE a.state IS NULL) AS other,
        count(*) FILTER (WHERE a.wait_event_type = 'Lock') AS lock_waits,
        coalesce(extract(epoch FROM now() - min(a.xact_start)), 0)::float8 AS oldest_s
    FROM pg_stat_activity AS a WHERE a.datname = current_database()
) AS c CROSS JOIN (
    SELECT count(*) AS replicas,
        max(pg_wal_lsn_diff(
            CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_lsn() END, s.replay_lsn
        ))::float8 AS replica_lag_bytes
    FROM pg_stat_replication AS s
) AS r
WHERE d.datname = current_database();
