-- name: concerts(concerts_max)
-- List concerts, the newest first.
-- locks: nothing
-- returns: one row per concert, at most concerts_max
SELECT concert_id, title, venue, room, queue_down, currency,
    coalesce(visitor_seats_max, 0) AS visitor_seats_max, version
FROM concert ORDER BY concert_id DESC LIMIT :concerts_max;

-- name: concert(concert_id)^
-- Read one concert.
-- locks: nothing
-- returns: one row, or none
SELECT concert_id, title, venue, room, queue_down, currency,
    coalesce(visitor_seats_max, 0) AS visitor_seats_max, version
FROM concert WHERE concert_id = :concert_id;

-- name: concerts_in_other_currencies(currencies, concerts_max)
-- List concerts whose currency is another than these, and which have a schedule that may still sell.
-- locks: nothing
-- returns: one row per concert, the oldest first
SELECT concert_id, title, venue, room, queue_down, currency,
    coalesce(visitor_seats_max, 0) AS visitor_seats_max, version
FROM concert AS c
WHERE currency <> ALL(:currencies::text[]) AND EXISTS (
    SELECT FROM schedule AS s WHERE s.concert_id = c.concert_id
        AND s.sale_state = 'ON_SALE' AND least(s.sales_end, s.starts_at) > now()
)
ORDER BY concert_id LIMIT :concerts_max;

-- name: schedules(concert_id, schedules_max)
-- List a concert's schedules by starting time.
-- locks: nothing
-- returns: one row per schedule, at most schedules_max; one row without a schedule_id if the concert
--   has none; no row if there is no such concert
SELECT s.schedule_id, c.concert_id, c.room, c.queue_down, c.currency, s.visitor_seats_max,
    s.starts_at, s.opens_at, s.sales_end, s.cancel_until, s.starts_offset_min, s.opens_offset_min,
    s.sales_end_offset_min, s.cancel_offset_min, s.version, s.sale_state
FROM concert AS c LEFT JOIN schedule AS s USING (concert_id)
WHERE c.concert_id = :concert_id
ORDER BY s.starts_at, s.schedule_id
LIMIT :schedules_max;

-- name: schedule(schedule_id)^
-- Read one schedule.
-- locks: nothing
-- returns: one row, or none
SELECT s.schedule_id, c.concert_id, c.room, c.queue_down, c.currency, s.visitor_seats_max,
    s.starts_at, s.opens_at, s.sales_end, s.cancel_until, s.starts_offset_min, s.opens_offset_min,
    s.sales_end_offset_min, s.cancel_offset_min, s.version, s.sale_state
FROM schedule AS s JOIN concert AS c USING (concert_id)
WHERE s.schedule_id = :schedule_id;

-- name: newest_schedules(schedules_max)
-- List the newest schedules of all concerts.
-- locks: nothing
-- returns: one row per schedule, at most schedules_max
SELECT s.schedule_id, c.concert_id, c.room, c.queue_down, c.currency, s.visitor_seats_max,
    s.starts_at, s.opens_at, s.sales_end, s.cancel_until, s.starts_offset_min, s.opens_offset_min,
    s.sales_end_offset_min, s.cancel_offset_min, s.version, s.sale_state
FROM schedule AS s JOIN concert AS c USING (concert_id)
ORDER BY s.schedule_id DESC
LIMIT :schedules_max;

-- name: catalogue_version(concerts_max, schedules_max)^
-- Compute a version of the newest concerts and schedules, which differs after every change of them:
-- the number of rows, and the sum of the transactions that wrote them. The highest transaction would
-- miss one that began earlier and committed later.
-- locks: nothing
-- returns: one row
SELECT
    (SELECT count(*) || ':' || coalesce(sum(xmin::text::bigint), 0) FROM (
        SELECT xmin FROM concert ORDER BY concert_id DESC LIMIT :concerts_max
    ) AS newest) AS concerts,
    (SELECT count(*) || ':' || coalesce(sum(xmin::text::bigint), 0) FROM (
        SELECT xmin FROM schedule ORDER BY schedule_id DESC LIMIT :schedules_max
    ) AS newest) AS schedules;

-- name: create_concert(title, venue, room, currency, visitor_seats_max)^
-- Create a concert; a limit of 0 seats means no limit.
-- locks: nothing
-- returns: one row: its number
INSERT INTO concert (title, venue, room, currency, visitor_seats_max)
VALUES (:title, :venue, :room, :currency, nullif(:visitor_seats_max::int, 0))
RETURNING concert_id;

-- name: create_schedule(concert_id, visitor_seats_max, starts_at, starts_offset_min, opens_at, opens_offset_min, sales_end, sales_end_offset_min, cancel_until, cancel_offset_min)^
-- Create a schedule of a concert, without seats. The offsets are those in which the times were given.
-- locks: concert (against removal)
-- returns: one row: its number, its concert's room, queue_down and currency; none if there is no such
--   concert
WITH found AS (
    SELECT concert_id, room, queue_down, currency FROM concert WHERE concert_id = :concert_id
    FOR KEY SHARE
),
made AS (
    INSERT INTO schedule (
        concert_id, visitor_seats_max, starts_at, starts_offset_min, opens_at, opens_offset_min,
        sales_end, sales_end_offset_min, cancel_until, cancel_offset_min
    )
    SELECT concert_id, :visitor_seats_max, :starts_at, :starts_offset_min, :opens_at,
        :opens_offset_min, :sales_end, :sales_end_offset_min, :cancel_until, :cancel_offset_min
    FROM found
    RETURNING schedule_id
)
SELECT made.schedule_id, found.room, found.queue_down, found.currency FROM made, found;

-- name: stock(concert_id)
-- Count the seats of a concert's schedules. Reads every seat, so it is for operators only.
-- Schedules without seats are left out.
-- locks: nothing
-- returns: one row per schedule
SELECT s.schedule_id, count(*) AS seats, count(*) FILTER (WHERE o.state = 'AVAILABLE') AS available
FROM schedule AS s JOIN seat AS o USING (schedule_id)
WHERE s.concert_id = :concert_id
GROUP BY s.schedule_id;
