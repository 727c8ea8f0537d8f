-- name: changed_stock(known_ids, watermarks, fresh_ids, schedules_max, counted_max)
-- Count free seats and unpaid reservations of the schedules that have changed since their last count,
-- except fresh_ids; those counted longest ago first. Every transaction below a watermark had ended by
-- then, so no change is missed.
-- locks: nothing
-- returns: one row per schedule, at most counted_max, of the newest schedules_max: its room, whether
--   it has seats at all, how many are free, how many reservations are unpaid, and the watermark
WITH known AS (
    SELECT * FROM unnest(:known_ids::bigint[], :watermarks::xid8[]) AS k (schedule_id, watermark)
),
on_sale AS MATERIALIZED (
    SELECT s.schedule_id, c.room, s.laid_out
    FROM schedule AS s JOIN concert AS c USING (concert_id)
    ORDER BY s.schedule_id DESC
    LIMIT :schedules_max
),
due AS MATERIALIZED (
    SELECT o.schedule_id, o.room
    FROM on_sale AS o LEFT JOIN known AS k USING (schedule_id)
    WHERE o.schedule_id <> ALL (:fresh_ids::bigint[]) AND (
        k.watermark IS NULL OR o.laid_out >= k.watermark OR EXISTS (
            SELECT FROM seat AS s
            WHERE s.schedule_id = o.schedule_id AND s.changed >= k.watermark
        )
    )
    ORDER BY k.watermark NULLS FIRST
    LIMIT :counted_max
),
held AS (
    SELECT schedule_id, count(*) AS live FROM reservation
    WHERE state = 'PENDING' AND schedule_id IN (SELECT schedule_id FROM due)
    GROUP BY schedule_id
)
SELECT d.schedule_id, d.room, pg_snapshot_xmin(pg_current_snapshot()) AS watermark,
    EXISTS (SELECT FROM seat AS s WHERE s.schedule_id = d.schedule_id) AS laid_out,
    (
        SELECT count(*) FROM seat AS s
        WHERE s.schedule_id = d.schedule_id AND s.state = 'AVAILABLE'
    ) AS free,
    coalesce(held.live, 0) AS live
FROM due AS d LEFT JOIN held USING (schedule_id);
