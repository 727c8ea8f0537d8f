-- name: concerts(concerts_max)
-- List concerts, the newest first.
-- locks: nothing
-- returns: one row per concert, at most concerts_max
SELECT concert_id, title, venue, room, queue_down, currency, version
FROM concert ORDER BY concert_id DESC LIMIT :concerts_max;

-- name: concert(concert_id)^
-- Read one concert.
-- locks: nothing
-- returns: one row, or none
SELECT concert_id, title, venue, room, queue_down, currency, version
FROM concert WHERE concert_id = :concert_id;

-- name: schedules(concert_id, schedules_max)
-- List a concert's schedules by starting time.
-- locks: nothing
-- returns: one row per schedule, at most schedules_max; one row without a schedule_id if the concert
--   has none; no row if there is no such concert
SELECT s.schedule_id, c.concert_id, c.room, c.queue_down, c.currency, s.visitor_seats_max,
    s.starts_at, s.opens_at, s.sales_end, s.cancel_until, s.starts_offset_min, s.opens_offset_min,
    s.sales_end_offset_min, s.cancel_offset_min, s.version
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
    s.sales_end_offset_min, s.cancel_offset_min, s.version
FROM schedule AS s JOIN concert AS c USING (concert_id)
WHERE s.schedule_id = :schedule_id;

-- name: newest_schedules(schedules_max)
-- List the newest schedules of all concerts.
-- locks: nothing
-- returns: one row per schedule, at most schedules_max
SELECT s.schedule_id, c.concert_id, c.room, c.queue_down, c.currency, s.visitor_seats_max,
    s.starts_at, s.opens_at, s.sales_end, s.cancel_until, s.starts_offset_min, s.opens_offset_min,
    s.sales_end_offset_min, s.cancel_offset_min, s.version
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

-- name: create_concert(title, venue, room, currency)^
-- Create a concert.
-- locks: nothing
-- returns: one row: its number
INSERT INTO concert (title, venue, room, currency) VALUES (:title, :venue, :room, :currency)
RETURNING concert_id;

-- name: set_queue_down(concert_id, queue_down)^
-- Set what happens to a concert's visitors while the queue is down.
-- locks: concert
-- returns: one row, or none if there is no such concert
UPDATE concert SET queue_down = :queue_down, version = version + 1 WHERE concert_id = :concert_id
RETURNING concert_id, title, venue, room, queue_down, currency, version;

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

-- name: import_seats(schedule_id, sections, row_names, positions, numbers, grades, prices)^
-- Put seats on sale, all or none. Seat ids follow the order given: rows by their first seat, then
-- positions within a row. Row numbers count through a section and continue after the rows it has.
-- locks: schedule (one import at a time); a seat that exists already is an error
-- returns: one row: how many; none if there is no such schedule
WITH found AS (
    UPDATE schedule SET laid_out = pg_current_xact_id()
    WHERE schedule_id = :schedule_id
    RETURNING schedule_id
),
given AS MATERIALIZED (
    SELECT g.*, min(g.nth) OVER (PARTITION BY g.section, g.row_name) AS row_at
    FROM unnest(
        :sections::text[], :row_names::text[], :positions::int[],
        :numbers::text[], :grades::text[], :prices::bigint[]
    ) WITH ORDINALITY AS g (section, row_name, row_position, seat_number, grade, price, nth)
),
there AS MATERIALIZED (
    SELECT section, row_name, max(row_no) AS row_no FROM seat
    WHERE schedule_id = :schedule_id
    GROUP BY section, row_name
),
counted AS (
    SELECT section, max(row_no) AS rows FROM there GROUP BY section
),
rows_new AS (
    SELECT g.section, g.row_name,
        coalesce(c.rows, 0) + row_number() OVER (PARTITION BY g.section ORDER BY min(g.nth))
            AS row_no
    FROM given AS g LEFT JOIN there AS t USING (section, row_name)
        LEFT JOIN counted AS c USING (section)
    WHERE t.row_name IS NULL
    GROUP BY g.section, g.row_name, c.rows
),
numbered AS (
    SELECT * FROM there UNION ALL SELECT * FROM rows_new
),
added AS (
    INSERT INTO seat (
        schedule_id, section, row_name, row_no, row_position, seat_number, grade, price
    )
    SELECT f.schedule_id, g.section, g.row_name, n.row_no, g.row_position, g.seat_number, g.grade,
        g.price
    FROM found AS f CROSS JOIN given AS g JOIN numbered AS n USING (section, row_name)
    ORDER BY g.row_at, g.row_position
    RETURNING seat_id
)
SELECT (SELECT count(*) FROM added) AS seats FROM found;

-- name: stock(concert_id)
-- Count the seats of a concert's schedules. Reads every seat, so it is for operators only.
-- Schedules without seats are left out.
-- locks: nothing
-- returns: one row per schedule
SELECT s.schedule_id, count(*) AS seats, count(*) FILTER (WHERE o.state = 'AVAILABLE') AS available
FROM schedule AS s JOIN seat AS o USING (schedule_id)
WHERE s.concert_id = :concert_id
GROUP BY s.schedule_id;
