-- name: hold_seats(schedule_id, seat_ids, reason, who)^
-- Hold free seats back from sale, all or none, and log it. Seats that are held back already get the new reason.
-- locks: seat (skips locked ones, and then changes nothing)
-- returns: one row: outcome 'held'; 'no_seat', 'taken' (with the numbers of those that are reserved or
--   sold), 'locked' (try again) otherwise
WITH
--@include house_seats
judged AS MATERIALIZED (
    SELECT CASE
        --@include house_seats_missing
        WHEN EXISTS (SELECT FROM locked WHERE state NOT IN ('AVAILABLE', 'HELD')) THEN 'taken'
        ELSE 'held'
    END AS outcome
),
held AS (
    UPDATE seat SET state = 'HELD', changed = pg_current_xact_id()
    FROM locked CROSS JOIN judged
    WHERE seat.seat_id = locked.seat_id AND judged.outcome = 'held'
    RETURNING seat.seat_id
),
listed AS (
    INSERT INTO held_seat (seat_id, reason)
    SELECT held.seat_id, :reason FROM held
    ON CONFLICT (seat_id) DO UPDATE SET reason = excluded.reason, held_at = now()
),
logged AS (
    INSERT INTO catalogue_change (who, what, concert_id, schedule_id, after)
    SELECT :who, 'seats held back', s.concert_id, s.schedule_id, jsonb_build_object(
        'reason', :reason::text,
        --@include house_seats_logged
    )
    FROM schedule AS s CROSS JOIN judged WHERE s.schedule_id = :schedule_id
        AND judged.outcome = 'held'
)
SELECT judged.outcome,
    ARRAY(
        SELECT locked.seat_number FROM locked WHERE locked.state NOT IN ('AVAILABLE', 'HELD')
        ORDER BY locked.seat_id
    ) AS seat_numbers
FROM judged;

-- name: release_seats(schedule_id, seat_ids, who)^
-- Put seats that are held back on sale, all or none, and log it.
-- locks: seat (skips locked ones, and then changes nothing)
-- returns: one row: outcome 'released'; 'no_seat', 'not_held' (with the numbers of those that are not
--   held back), 'locked' (try again) otherwise
WITH
--@include house_seats
judged AS MATERIALIZED (
    SELECT CASE
        --@include house_seats_missing
        WHEN EXISTS (SELECT FROM locked WHERE state <> 'HELD') THEN 'not_held'
        ELSE 'released'
    END AS outcome
),
freed AS (
    UPDATE seat SET state = 'AVAILABLE', changed = pg_current_xact_id()
    FROM locked CROSS JOIN judged
    WHERE seat.seat_id = locked.seat_id AND judged.outcome = 'released'
    RETURNING seat.seat_id
),
unlisted AS (
    DELETE FROM held_seat AS b USING freed WHERE b.seat_id = freed.seat_id
),
logged AS (
    INSERT INTO catalogue_change (who, what, concert_id, schedule_id, before)
    SELECT :who, 'seats released', s.concert_id, s.schedule_id, jsonb_build_object(
        --@include house_seats_logged
    )
    FROM schedule AS s CROSS JOIN judged WHERE s.schedule_id = :schedule_id
        AND judged.outcome = 'released'
)
SELECT judged.outcome,
    ARRAY(
        SELECT locked.seat_number FROM locked WHERE locked.state <> 'HELD' ORDER BY locked.seat_id
    ) AS seat_numbers
FROM judged;

-- name: give_seats(schedule_id, seat_ids, ticket_name, who)^
-- Issue complimentary tickets for free seats or seats that are held back, all or none, and log it: a
-- reservation at price 0 that is CONFIRMED, with the name on it and a payment of nothing. The log does
-- not repeat the name.
-- locks: seat (skips locked ones, and then changes nothing), visitor_seats
-- returns: one row: outcome 'given' with the reservation; 'no_schedule', 'cancelled' (the schedule is),
--   'no_seat', 'taken' (with the numbers of those that are reserved or sold), 'locked' (try again)
--   otherwise
WITH
--@include house_seats
judged AS MATERIALIZED (
    SELECT CASE
        WHEN s.schedule_id IS NULL THEN 'no_schedule'
        WHEN s.sale_state = 'CANCELLED' THEN 'cancelled'
        --@include house_seats_missing
        WHEN EXISTS (SELECT FROM locked WHERE locked.state NOT IN ('AVAILABLE', 'HELD')) THEN 'taken'
        ELSE 'given'
    END AS outcome
    FROM (SELECT 1) AS one
    LEFT JOIN LATERAL (
        SELECT * FROM schedule AS s WHERE s.schedule_id = :schedule_id FOR SHARE
    ) AS s ON true
),
made AS (
    INSERT INTO reservation (
        schedule_id, user_id, holder, state, amount, expires_at, made_by
    )
    SELECT :schedule_id, 'complimentary', 'operator', 'CONFIRMED', 0, now(), 'operator'
    FROM judged WHERE judged.outcome = 'given'
    RETURNING reservation_id, created_at
),
named AS (
    INSERT INTO reservation_note (reservation_id, ticket_name)
    SELECT made.reservation_id, :ticket_name FROM made
),
counted AS (
    INSERT INTO visitor_seats AS v (schedule_id, user_id, holder, seats)
    SELECT :schedule_id, 'complimentary', 'operator', (SELECT count(*) FROM locked) FROM made
    ON CONFLICT (schedule_id, user_id, holder) DO UPDATE SET seats = v.seats + excluded.seats
),
taken AS (
    UPDATE seat SET state = 'OCCUPIED', changed = pg_current_xact_id()
    FROM locked CROSS JOIN made WHERE seat.seat_id = locked.seat_id
    RETURNING seat.seat_id, made.reservation_id
),
listed AS (
    INSERT INTO reserved_seat (reservation_id, seat_id, price)
    SELECT taken.reservation_id, taken.seat_id, 0 FROM taken
),
paid AS (
    INSERT INTO payment (reservation_id, user_id, amount, method, state, look_at, paid_at)
    SELECT made.reservation_id, 'complimentary', 0, 'complimentary', 'COMPLETED', now(), now() FROM made
),
logged AS (
    INSERT INTO catalogue_change (who, what, concert_id, schedule_id, after)
    SELECT :who, 'tickets given', s.concert_id, s.schedule_id, jsonb_build_object(
        'reservationId', made.reservation_id,
        --@include house_seats_logged
    )
    FROM schedule AS s CROSS JOIN made WHERE s.schedule_id = :schedule_id
)
SELECT judged.outcome, made.reservation_id, made.created_at,
    ARRAY(
        SELECT locked.seat_number FROM locked WHERE locked.state NOT IN ('AVAILABLE', 'HELD')
        ORDER BY locked.seat_id
    ) AS seat_numbers
FROM judged LEFT JOIN made ON true;

-- name: held_seats(schedule_id)
-- List the seats of a schedule that are held back, and complimentary tickets.
-- locks: nothing
-- returns: one row per seat: its place and state, why and since when it is held back, and the name on the ticket
--   name and reservation
SELECT s.seat_id, s.section, s.row_name, s.seat_number, s.state, b.reason, b.held_at,
    n.ticket_name, n.reservation_id
FROM seat AS s
LEFT JOIN held_seat AS b USING (seat_id)
LEFT JOIN reserved_seat AS h ON h.seat_id = s.seat_id AND h.live
LEFT JOIN reservation_note AS n ON n.reservation_id = h.reservation_id AND n.ticket_name IS NOT NULL
WHERE s.schedule_id = :schedule_id AND (b.seat_id IS NOT NULL OR n.ticket_name IS NOT NULL)
ORDER BY s.seat_id;

-- name: seats_named(schedule_id, numbers)
-- Find the seats of a schedule by the names that visitors see: alone, or after section and row.
-- locks: nothing
-- returns: one row per name and seat
SELECT n.number, s.seat_id, s.section, s.row_name, s.seat_number
FROM unnest(:numbers::text[]) AS n (number)
JOIN seat AS s ON s.schedule_id = :schedule_id AND (
    s.seat_number = n.number OR s.section || '/' || s.row_name || '/' || s.seat_number = n.number
)
ORDER BY s.seat_id;
