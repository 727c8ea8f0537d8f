-- name: load_demo()^
-- Reset the demo concert: concert 1 with schedule 1 and seats 1 to 10 000, for room "1".
-- Deletes all bookings of all concerts, with their payments, events and idempotency keys. Other concerts stay, and all their seats are on sale again.
-- locks: the tables of bookings, whole; seat. Concurrent bookings wait, or are refused
-- returns: nothing
DO $$
BEGIN
    TRUNCATE reservation, reserved_seat, visitor_seats, payment, outbox, idempotency;

    INSERT INTO concert (concert_id, title, venue, room)
    VALUES (1, 'Waitline Live', 'Waitline Hall', '1')
    ON CONFLICT (concert_id) DO UPDATE
    SET title = excluded.title, venue = excluded.venue, room = excluded.room;

    -- So far off that a trial sells for ever.
    INSERT INTO schedule (schedule_id, concert_id, starts_at, starts_offset_min)
    VALUES (1, 1, '2099-12-31 19:00+09', 540)
    ON CONFLICT (schedule_id) DO UPDATE
    SET concert_id = excluded.concert_id, starts_at = excluded.starts_at,
        starts_offset_min = excluded.starts_offset_min, opens_at = NULL, sales_end = NULL,
        cancel_until = NULL;

    -- Deleted first: an import may have replaced the demo's seats.
    DELETE FROM seat WHERE schedule_id = 1 OR seat_id <= 10000;
    INSERT INTO seat (
        seat_id, schedule_id, section, row_name, row_no, row_position, seat_number, grade, price
    )
    SELECT
        (part.number - 1) * 2500 + (line - 1) * 50 + place, 1, part.grade, line, line, place,
        concat_ws('-', part.grade, line, place), part.grade, part.price
    FROM
        (VALUES (1, 'VIP', 50000), (2, 'R', 40000), (3, 'S', 30000), (4, 'A', 20000))
            AS part (number, grade, price),
        generate_series(1, 50) AS line,
        generate_series(1, 50) AS place;
    UPDATE seat SET state = 'AVAILABLE', changed = pg_current_xact_id()
    WHERE schedule_id <> 1 AND state <> 'AVAILABLE';
    -- Marks the layout as new, so that workers load the seats again.
    UPDATE schedule SET laid_out = pg_current_xact_id();

    -- Explicit ids do not advance the sequences.
    PERFORM
        setval(pg_get_serial_sequence('concert', 'concert_id'), (SELECT max(concert_id) FROM concert)),
        setval(pg_get_serial_sequence('schedule', 'schedule_id'), (SELECT max(schedule_id) FROM schedule)),
        setval(pg_get_serial_sequence('seat', 'seat_id'), (SELECT max(seat_id) FROM seat));
END
$$;

-- name: any_concert()^
-- Check whether there is any concert.
-- locks: nothing
-- returns: one row: found
SELECT EXISTS (SELECT FROM concert) AS found;
