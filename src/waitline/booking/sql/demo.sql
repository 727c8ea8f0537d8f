-- name: load_demo()^
-- Put the demo concert on sale as if nothing had happened: concert 1 with schedule 1 and 10 000
-- seats from number 1 on, for the visitors of room "1". All bookings are forgotten, of whatever
-- concert, with their payments, events and answers; their numbers are not given out again. Other
-- concerts stay, and all their seats are on sale again.
-- locks: the tables of bookings, whole; seat. Concurrent bookings wait, or are refused
-- returns: nothing
DO $$
BEGIN
    TRUNCATE reservation, reserved_seat, visitor_seats, payment, outbox, idempotency;

    INSERT INTO concert (concert_id, title, venue, room)
    VALUES (1, 'Waitline Live', 'Waitline Hall', '1')
    ON CONFLICT (concert_id) DO UPDATE
    SET title = excluded.title, venue = excluded.venue, room = excluded.room;

    INSERT INTO schedule (schedule_id, concert_id, starts_at)
    VALUES (1, 1, date_trunc('day', now()) + interval '30 days 11 hours')
    ON CONFLICT (schedule_id) DO UPDATE
    SET concert_id = excluded.concert_id, starts_at = excluded.starts_at;

    -- Made anew, because others may have been put in their places.
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
    -- Seats are others than before.
    UPDATE schedule SET laid_out = pg_current_xact_id();

    -- Numbers that were given by hand are unknown to those who count.
    PERFORM
        setval(pg_get_serial_sequence('concert', 'concert_id'), (SELECT max(concert_id) FROM concert)),
        setval(pg_get_serial_sequence('schedule', 'schedule_id'), (SELECT max(schedule_id) FROM schedule)),
        setval(pg_get_serial_sequence('seat', 'seat_id'), (SELECT max(seat_id) FROM seat));
END
$$;

-- name: any_concert()^
-- Check whether there is anything to sell.
-- locks: nothing
-- returns: one row: found
SELECT EXISTS (SELECT FROM concert) AS found;
