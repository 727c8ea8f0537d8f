-- name: create_rehearsal(title, room)^
-- Create the concert of a rehearsal, which alone may be discarded.
-- locks: nothing
-- returns: one row
INSERT INTO concert (title, venue, room, origin) VALUES (:title, '', :room, 'rehearsal')
RETURNING concert_id;

-- name: rehearsal_rooms(rooms_max)
-- List the rooms of rehearsals, running ones included.
-- locks: nothing
-- returns: one row per room, at most rooms_max
SELECT DISTINCT room FROM concert
WHERE origin = 'rehearsal'
ORDER BY room
LIMIT :rooms_max;

-- name: rooms_of_others(rooms)
-- Find which of these rooms have a concert that no rehearsal made.
-- locks: nothing
-- returns: one row per room
SELECT DISTINCT room FROM concert
WHERE room = ANY(:rooms::text[]) AND origin <> 'rehearsal';

-- name: rehearsal_unsettled(room)^
-- Count a rehearsal's unsettled payments and unsent events.
-- locks: nothing
-- returns: one row
SELECT
    (
        SELECT count(*) FROM payment AS p
        JOIN reservation USING (reservation_id)
        JOIN schedule USING (schedule_id)
        JOIN concert AS c USING (concert_id)
        WHERE c.room = :room AND c.origin = 'rehearsal' AND p.state IN ('PENDING', 'REFUNDING')
    ) AS payments,
    (
        SELECT count(*) FROM outbox
        WHERE sent_at IS NULL AND NOT dead AND payload ->> 'concertId' = :room
    ) AS events;

-- name: discard_reservations(room, chunk_max)^
-- Delete a chunk of a rehearsal's reservations, with their payments and events. Other concerts are
-- never touched.
-- locks: reservation (by id), and what belongs to it
-- returns: one row: how many reservations were deleted
WITH those AS MATERIALIZED (
    SELECT r.reservation_id
    FROM reservation AS r
    JOIN schedule AS s USING (schedule_id)
    JOIN concert AS c USING (concert_id)
    WHERE c.room = :room AND c.origin = 'rehearsal'
    ORDER BY r.reservation_id
    LIMIT :chunk_max
    FOR UPDATE OF r
),
seats AS (
    DELETE FROM reserved_seat AS h USING those WHERE h.reservation_id = those.reservation_id
),
payments AS (
    DELETE FROM payment AS p USING those WHERE p.reservation_id = those.reservation_id
),
evidence AS (
    DELETE FROM evidence AS e USING those WHERE e.reservation_id = those.reservation_id
),
gone AS (
    DELETE FROM reservation AS r USING those WHERE r.reservation_id = those.reservation_id
    RETURNING r.reservation_id
)
SELECT count(*) AS rows FROM gone;

-- name: discard_events(room, chunk_max)^
-- Delete a chunk of a rehearsal's events, sent or not. Other concerts are never touched.
-- locks: outbox (by number)
-- returns: one row: how many events were deleted
WITH those AS MATERIALIZED (
    SELECT event_no FROM outbox
    WHERE payload ->> 'concertId' = :room
        AND EXISTS (SELECT FROM concert AS c WHERE c.room = :room AND c.origin = 'rehearsal')
        -- An operator may sell in a room of that name: its events look like ours.
        AND NOT EXISTS (SELECT FROM concert AS c WHERE c.room = :room AND c.origin <> 'rehearsal')
    ORDER BY event_no
    LIMIT :chunk_max
    FOR UPDATE
),
gone AS (
    DELETE FROM outbox AS o USING those WHERE o.event_no = those.event_no
    RETURNING o.event_no
)
SELECT count(*) AS rows FROM gone;

-- name: discard_seats(room, chunk_max)^
-- Delete a chunk of a rehearsal's seats, once no reservation holds them. Other concerts are
-- never touched.
-- locks: seat (by id)
-- returns: one row: how many seats were deleted
WITH those AS MATERIALIZED (
    SELECT o.seat_id
    FROM seat AS o
    JOIN schedule AS s USING (schedule_id)
    JOIN concert AS c USING (concert_id)
    WHERE c.room = :room AND c.origin = 'rehearsal'
    ORDER BY o.seat_id
    LIMIT :chunk_max
    FOR UPDATE OF o
),
gone AS (
    DELETE FROM seat AS o USING those WHERE o.seat_id = those.seat_id
    RETURNING o.seat_id
)
SELECT count(*) AS rows FROM gone;

-- name: discard_concert(room)^
-- Delete a rehearsal's concert with its schedules and its visitors' seat counts, once its seats and
-- reservations are deleted. Other concerts are never touched.
-- locks: concert, schedule, visitor_seats
-- returns: one row: how many concerts were deleted
WITH those AS MATERIALIZED (
    SELECT c.concert_id FROM concert AS c
    WHERE c.room = :room AND c.origin = 'rehearsal'
    FOR UPDATE
),
performances AS MATERIALIZED (
    SELECT s.schedule_id FROM schedule AS s JOIN those USING (concert_id)
),
counts AS (
    DELETE FROM visitor_seats AS v USING performances AS p WHERE v.schedule_id = p.schedule_id
),
schedules AS (
    DELETE FROM schedule AS s USING those WHERE s.concert_id = those.concert_id
),
gone AS (
    DELETE FROM concert AS c USING those WHERE c.concert_id = those.concert_id
    RETURNING c.concert_id
)
SELECT count(*) AS rows FROM gone;
