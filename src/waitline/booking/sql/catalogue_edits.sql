-- name: change_concert(concert_id, version, title, venue, room, queue_down, currency, visitor_seats_max, who, before, after)^
-- Change a concert as it was at a version, and log it.
-- locks: concert
-- returns: one row: outcome 'changed' with the new version; 'unknown', 'stale' (its version is another),
--   'booked' (seats are reserved or sold, so its room stays), 'has_seats' (with prices in its currency),
--   'limit' (somebody has more seats than it would allow) otherwise
WITH found AS MATERIALIZED (
    SELECT * FROM concert WHERE concert_id = :concert_id FOR UPDATE
),
judged AS MATERIALIZED (
    SELECT found.concert_id, used.*, most.seats AS most,
        CASE
            WHEN found.version <> :version THEN 'stale'
            WHEN found.room <> :room AND used.booked > 0 THEN 'booked'
            WHEN found.currency <> :currency AND used.seats > 0 THEN 'has_seats'
            WHEN nullif(:visitor_seats_max::int, 0) < most.seats
                AND :visitor_seats_max::int < coalesce(found.visitor_seats_max, most.seats)
            THEN 'limit'
            ELSE 'changed'
        END AS outcome
    FROM found CROSS JOIN LATERAL schedules_in_use(found.concert_id) AS used
    CROSS JOIN LATERAL most_in_concert(found.concert_id) AS most (seats)
),
changed AS (
    UPDATE concert AS c
    SET title = :title, venue = :venue, room = :room, queue_down = :queue_down, currency = :currency,
        visitor_seats_max = nullif(:visitor_seats_max::int, 0), version = c.version + 1
    FROM judged WHERE judged.outcome = 'changed' AND c.concert_id = judged.concert_id
    RETURNING c.version
),
logged AS (
    INSERT INTO catalogue_change (who, what, concert_id, before, after)
    SELECT :who, 'concert changed', judged.concert_id, :before::text::jsonb, :after::text::jsonb
    FROM judged WHERE judged.outcome = 'changed'
)
SELECT coalesce(judged.outcome, 'unknown') AS outcome, judged.seats, judged.booked, judged.most,
    changed.version
FROM (SELECT 1) AS one LEFT JOIN judged ON true LEFT JOIN changed ON true;

-- name: delete_concert(concert_id, version, who, before)^
-- Delete a concert that has no schedules, and log it.
-- locks: concert
-- returns: one row: outcome 'deleted'; 'unknown', 'stale', 'has_schedules' (how many) otherwise
WITH found AS MATERIALIZED (
    SELECT * FROM concert WHERE concert_id = :concert_id FOR UPDATE
),
judged AS MATERIALIZED (
    SELECT found.concert_id, used.schedules,
        CASE
            WHEN found.version <> :version THEN 'stale'
            WHEN used.schedules > 0 THEN 'has_schedules'
            ELSE 'deleted'
        END AS outcome
    FROM found CROSS JOIN LATERAL schedules_in_use(found.concert_id) AS used
),
gone AS (
    DELETE FROM concert AS c USING judged
    WHERE judged.outcome = 'deleted' AND c.concert_id = judged.concert_id
),
logged AS (
    INSERT INTO catalogue_change (who, what, concert_id, before)
    SELECT :who, 'concert deleted', judged.concert_id, :before::text::jsonb
    FROM judged WHERE judged.outcome = 'deleted'
)
SELECT coalesce(judged.outcome, 'unknown') AS outcome, judged.schedules
FROM (SELECT 1) AS one LEFT JOIN judged ON true;

-- name: change_schedule(schedule_id, version, visitor_seats_max, starts_at, starts_offset_min, opens_at, opens_offset_min, sales_end, sales_end_offset_min, cancel_until, cancel_offset_min, who, before, after)^
-- Change a schedule as it was at a version, and log it. What buyers rely on stays: the start, while seats
-- are reserved or sold, and until when they may cancel.
-- locks: schedule
-- returns: one row: outcome 'changed' with the new version; 'unknown', 'stale', 'booked' (the start stays),
--   'cancel_until' (it is not moved forward), 'limit' (somebody has more seats than it would allow) otherwise
WITH found AS MATERIALIZED (
    SELECT * FROM schedule WHERE schedule_id = :schedule_id FOR UPDATE
),
judged AS MATERIALIZED (
    SELECT found.schedule_id, found.concert_id, used.*,
        CASE
            WHEN found.version <> :version THEN 'stale'
            WHEN found.starts_at <> :starts_at::timestamptz AND used.booked > 0 THEN 'booked'
            WHEN coalesce(:cancel_until::timestamptz, :starts_at::timestamptz)
                < coalesce(found.cancel_until, found.starts_at) AND used.booked > 0
            THEN 'cancel_until'
            WHEN :visitor_seats_max::int < found.visitor_seats_max AND used.most > :visitor_seats_max::int
            THEN 'limit'
            ELSE 'changed'
        END AS outcome
    FROM found CROSS JOIN LATERAL seats_in_use(found.schedule_id) AS used
),
changed AS (
    UPDATE schedule AS s
    SET visitor_seats_max = :visitor_seats_max, starts_at = :starts_at,
        starts_offset_min = :starts_offset_min, opens_at = :opens_at,
        opens_offset_min = :opens_offset_min, sales_end = :sales_end,
        sales_end_offset_min = :sales_end_offset_min, cancel_until = :cancel_until,
        cancel_offset_min = :cancel_offset_min, version = s.version + 1
    FROM judged WHERE judged.outcome = 'changed' AND s.schedule_id = judged.schedule_id
    RETURNING s.version
),
logged AS (
    INSERT INTO catalogue_change (who, what, concert_id, schedule_id, before, after)
    SELECT :who, 'schedule changed', judged.concert_id, judged.schedule_id, :before::text::jsonb,
        :after::text::jsonb
    FROM judged WHERE judged.outcome = 'changed'
)
SELECT coalesce(judged.outcome, 'unknown') AS outcome, judged.booked, judged.most, changed.version
FROM (SELECT 1) AS one LEFT JOIN judged ON true LEFT JOIN changed ON true;

-- name: delete_schedule(schedule_id, version, failed_s, who, before)^
-- Delete a schedule with its seats and with reservations that are over and were never charged, and log it.
-- Nobody can reserve one of the seats meanwhile.
-- locks: schedule, seat (skips locked ones, and then changes nothing)
-- returns: one row: outcome 'deleted' with the number of seats; 'unknown', 'stale', 'locked' (try again),
--   'booked' (so many seats are reserved or sold), 'paid' (so many payments were made, or may have been,
--   within failed_s) otherwise
WITH found AS MATERIALIZED (
    SELECT * FROM schedule WHERE schedule_id = :schedule_id FOR UPDATE
),
locked AS MATERIALIZED (
    SELECT s.seat_id, s.state FROM found JOIN seat AS s USING (schedule_id)
    ORDER BY s.seat_id
    FOR UPDATE OF s SKIP LOCKED
),
counted AS MATERIALIZED (
    SELECT count(*) AS seats, count(*) FILTER (WHERE state IN ('RESERVED', 'OCCUPIED')) AS booked
    FROM locked
),
over AS MATERIALIZED (
    SELECT r.reservation_id FROM found JOIN reservation AS r USING (schedule_id)
),
attempts AS MATERIALIZED (
    SELECT p.payment_id, p.state <> 'FAILED'
        OR p.created_at > now() - make_interval(secs => :failed_s) AS is_money
    FROM over JOIN payment AS p USING (reservation_id)
),
judged AS MATERIALIZED (
    SELECT found.schedule_id, found.concert_id, counted.seats, counted.booked,
        (SELECT count(*) FROM attempts WHERE is_money) AS payments,
        CASE
            WHEN found.version <> :version THEN 'stale'
            WHEN counted.booked > 0 THEN 'booked'
            WHEN counted.seats < (SELECT used.seats FROM seats_in_use(found.schedule_id) AS used)
            THEN 'locked'
            WHEN EXISTS (SELECT FROM attempts WHERE is_money) THEN 'paid'
            ELSE 'deleted'
        END AS outcome
    FROM found CROSS JOIN counted
),
ready AS MATERIALIZED (
    SELECT * FROM judged WHERE outcome = 'deleted'
),
payments AS (
    DELETE FROM payment AS p USING ready, attempts WHERE p.payment_id = attempts.payment_id
),
holds AS (
    DELETE FROM reserved_seat AS h USING ready, over WHERE h.reservation_id = over.reservation_id
),
reservations AS (
    DELETE FROM reservation AS r USING ready, over WHERE r.reservation_id = over.reservation_id
),
visitors AS (
    DELETE FROM visitor_seats AS v USING ready WHERE v.schedule_id = ready.schedule_id
),
removed AS (
    DELETE FROM removed_seat AS m USING ready WHERE m.schedule_id = ready.schedule_id
),
seats AS (
    DELETE FROM seat AS s USING ready WHERE s.schedule_id = ready.schedule_id
),
gone AS (
    DELETE FROM schedule AS s USING ready WHERE s.schedule_id = ready.schedule_id
),
logged AS (
    INSERT INTO catalogue_change (who, what, concert_id, schedule_id, before)
    SELECT :who, 'schedule deleted', ready.concert_id, ready.schedule_id,
        :before::text::jsonb || jsonb_build_object('seats', ready.seats)
    FROM ready
)
SELECT coalesce(judged.outcome, 'unknown') AS outcome, judged.seats, judged.booked, judged.payments
FROM (SELECT 1) AS one LEFT JOIN judged ON true;

-- name: log_creation(who, what, concert_id, schedule_id, after)^
-- Log that a concert or a schedule was created.
-- locks: nothing
-- returns: nothing
INSERT INTO catalogue_change (who, what, concert_id, schedule_id, after)
VALUES (:who, :what, :concert_id, :schedule_id, :after::text::jsonb);

-- name: catalogue_changes(concert_id, schedule_id, before_no, changes_max)
-- List changes of the catalogue, the latest first: of a concert, of a schedule, or all if both are null.
-- locks: nothing
-- returns: one row per change, at most changes_max
SELECT change_no, at, who, what, concert_id, schedule_id, before::text AS before, after::text AS after
FROM catalogue_change
WHERE (:concert_id::bigint IS NULL OR concert_id = :concert_id)
    AND (:schedule_id::bigint IS NULL OR schedule_id = :schedule_id)
    AND (:before_no::bigint IS NULL OR change_no < :before_no)
ORDER BY change_no DESC
LIMIT :changes_max;

-- name: forget_changes(kept_max)^
-- Delete the oldest changes, but for the latest kept_max.
-- locks: nothing
-- returns: nothing
DELETE FROM catalogue_change
WHERE change_no <= (SELECT max(change_no) FROM catalogue_change) - :kept_max;
