-- name: forget_drops(kept_s, chunk_max)^
-- Delete holders whose drops are so long ago that neither they nor a cool-down count any more.
-- locks: cooldown (skips locked ones)
-- returns: one row: how many
WITH old AS MATERIALIZED (
    SELECT user_id, holder FROM cooldown
    WHERE changed_at <= now() - make_interval(secs => :kept_s)
    ORDER BY changed_at
    LIMIT :chunk_max
    FOR UPDATE SKIP LOCKED
),
gone AS (
    DELETE FROM cooldown AS c USING old WHERE c.user_id = old.user_id AND c.holder = old.holder
    RETURNING c.user_id
)
SELECT count(*) AS holders FROM gone;
