-- name: read_seats(schedule_id)^
-- Read all seats of a schedule in one snapshot, column by column.
-- locks: nothing
-- returns: one row, or none if there is no such schedule: the transaction that laid out its seats;
--   the start of the server, whose transactions these are; the watermark (the oldest transaction still
--   running); the newest transaction that changed a seat; and a JSON array per column, by seat id. A
--   seat that is held back is OCCUPIED to visitors
SELECT s.laid_out, pg_postmaster_start_time() AS server_started,
    pg_snapshot_xmin(pg_current_snapshot()) AS watermark,
    greatest(s.laid_out, k.newest) AS newest,
    k.seat_ids, k.numbers, k.sections, k.grades, k.prices, k.states
FROM schedule AS s CROSS JOIN LATERAL (
    SELECT max(o.changed) AS newest,
        coalesce(json_agg(o.seat_id)::text, '[]') AS seat_ids,
        coalesce(json_agg(o.seat_number)::text, '[]') AS numbers,
        coalesce(json_agg(o.section)::text, '[]') AS sections,
        coalesce(json_agg(o.grade)::text, '[]') AS grades,
        coalesce(json_agg(o.price)::text, '[]') AS prices,
        coalesce(string_agg(translate(left(o.state, 1), 'H', 'O'), ''), '') AS states
    FROM (SELECT * FROM seat WHERE schedule_id = :schedule_id ORDER BY seat_id) AS o
) AS k
WHERE s.schedule_id = :schedule_id;

-- name: changed_seats(schedule_id, watermark)^
-- Read the seats that have changed since a watermark. Every transaction below the watermark had ended
-- by then, so no change is missed; some are returned twice.
-- locks: nothing
-- returns: one row, or none if there is no such schedule: as read_seats, for the changed seats
SELECT s.laid_out, pg_postmaster_start_time() AS server_started,
    pg_snapshot_xmin(pg_current_snapshot()) AS watermark,
    k.seat_ids, k.changed, k.states
FROM schedule AS s CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(o.seat_id), '{}') AS seat_ids,
        coalesce(array_agg(o.changed), '{}') AS changed,
        coalesce(string_agg(translate(left(o.state, 1), 'H', 'O'), ''), '') AS states
    FROM seat AS o
    WHERE o.schedule_id = :schedule_id AND o.changed >= :watermark
) AS k
WHERE s.schedule_id = :schedule_id;

-- name: free_seats(schedule_id, grade, free_max)
-- Read the best free seats of a grade, the best first.
-- locks: nothing
-- returns: one row per seat, at most free_max; if none is free, one row without a seat, or none if the
--   schedule has no such grade
WITH free AS (
    SELECT seat_id, section, row_name, row_no, row_position FROM seat
    WHERE schedule_id = :schedule_id AND grade = :grade AND state = 'AVAILABLE'
    ORDER BY seat_id
    LIMIT :free_max
)
SELECT * FROM free
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL
WHERE NOT EXISTS (SELECT FROM free)
    AND EXISTS (SELECT FROM seat WHERE schedule_id = :schedule_id AND grade = :grade)
ORDER BY seat_id;

-- name: renew_layouts()^
-- Give the seats of every schedule a new version, after a restore.
-- locks: schedule
-- returns: one row: how many schedules there are
WITH renewed AS (
    UPDATE schedule SET laid_out = pg_current_xact_id() RETURNING schedule_id
)
SELECT count(*) AS schedules FROM renewed;
