-- name: load_demo()^
-- Reset the demo concert: one schedule with 10 000 seats, for room "1". Ids are 1, and seats 1 to 10 000,
-- unless something else has them.
-- Deletes the bookings of the demo concert, with their payments, events and idempotency keys. Nothing of
-- another concert is touched, whatever its ids.
-- locks: seats and bookings of the demo; the tables of bookings, whole, while there is no other concert
-- returns: nothing
DO $$
DECLARE
    the_concert bigint;
    the_schedule bigint;
    first_seat bigint;
BEGIN
    -- Last line of defence: no call of production mode gets here.
    IF EXISTS (SELECT FROM installation WHERE mode = 'production') THEN
        RAISE EXCEPTION 'there is no demo concert in production';
    END IF;
    -- One reset at a time: two would both create it. Readers go on.
    LOCK TABLE concert IN SHARE ROW EXCLUSIVE MODE;
    IF NOT EXISTS (SELECT FROM concert WHERE origin <> 'demo') THEN
        -- All bookings are the demo's. Much faster after a load test with millions of them.
        -- CASCADE: every row that refers to a booking is deleted with it.
        TRUNCATE reservation, reserved_seat, visitor_seats, payment, outbox, idempotency, evidence CASCADE;
    ELSE
        CREATE TEMPORARY TABLE demo_booking ON COMMIT DROP AS
        SELECT r.reservation_id FROM reservation AS r
        JOIN schedule USING (schedule_id) JOIN concert AS c USING (concert_id)
        WHERE c.origin = 'demo';
        DELETE FROM reserved_seat AS x USING demo_booking AS d WHERE x.reservation_id = d.reservation_id;
        DELETE FROM payment AS x USING demo_booking AS d WHERE x.reservation_id = d.reservation_id;
        DELETE FROM evidence AS x USING demo_booking AS d WHERE x.reservation_id = d.reservation_id;
        DELETE FROM idempotency AS x USING demo_booking AS d WHERE x.reservation_id = d.reservation_id;
        DELETE FROM outbox AS x USING demo_booking AS d
        WHERE x.payload ->> 'reservationId' = d.reservation_id::text;
        DELETE FROM visitor_seats AS x USING schedule AS s, concert AS c
        WHERE x.schedule_id = s.schedule_id AND s.concert_id = c.concert_id AND c.origin = 'demo';
        DELETE FROM reservation AS x USING demo_booking AS d WHERE x.reservation_id = d.reservation_id;
        DROP TABLE demo_booking;
    END IF;

    SELECT min(concert_id) INTO the_concert FROM concert WHERE origin = 'demo';
    IF the_concert IS NULL THEN
        INSERT INTO concert (concert_id, title, venue, room, origin)
        SELECT
            CASE WHEN EXISTS (SELECT FROM concert WHERE concert_id = 1)
                THEN nextval(pg_get_serial_sequence('concert', 'concert_id')) ELSE 1 END,
            'Waitline Live', 'Waitline Hall', '1', 'demo'
        RETURNING concert_id INTO the_concert;
    END IF;
    UPDATE concert SET title = 'Waitline Live', venue = 'Waitline Hall', room = '1'
    WHERE concert_id = the_concert;

    SELECT min(schedule_id) INTO the_schedule FROM schedule WHERE concert_id = the_concert;
    IF the_schedule IS NULL THEN
        INSERT INTO schedule (schedule_id, concert_id, starts_at)
        SELECT
            CASE WHEN EXISTS (SELECT FROM schedule WHERE schedule_id = 1)
                THEN nextval(pg_get_serial_sequence('schedule', 'schedule_id')) ELSE 1 END,
            the_concert, now()
        RETURNING schedule_id INTO the_schedule;
    END IF;
    -- Far in the future, so that the trial's sale never ends.
    UPDATE schedule SET
        starts_at = '2099-12-31 19:00+09', starts_offset_min = 540, opens_at = NULL, sales_end = NULL,
        cancel_until = NULL, sale_state = 'ON_SALE', state_reason = NULL, state_at = NULL,
        refund_until = NULL, settled_at = NULL
    WHERE schedule_id = the_schedule;

    -- Deleted first: an import may have replaced the demo's seats.
    DELETE FROM seat AS o USING schedule AS s
    WHERE o.schedule_id = s.schedule_id AND s.concert_id = the_concert;
    DELETE FROM schedule WHERE concert_id = the_concert AND schedule_id <> the_schedule;
    -- A block of ids of its own, so that seats are ranked by their ids: the first, if it is free.
    SELECT CASE WHEN EXISTS (SELECT FROM seat WHERE seat_id <= 10000)
        THEN nextval(pg_get_serial_sequence('seat', 'seat_id')) ELSE 1 END
    INTO first_seat;
    INSERT INTO seat (
        seat_id, schedule_id, section, row_name, row_no, row_position, seat_number, grade, price
    )
    SELECT
        first_seat - 1 + (part.number - 1) * 2500 + (line - 1) * 50 + place, the_schedule, part.grade,
        line, line, place, concat_ws('-', part.grade, line, place), part.grade, part.price
    FROM
        (VALUES (1, 'VIP', 50000), (2, 'R', 40000), (3, 'S', 30000), (4, 'A', 20000))
            AS part (number, grade, price),
        generate_series(1, 50) AS line,
        generate_series(1, 50) AS place;
    -- Marks the layout as new, so that workers load the seats again.
    UPDATE schedule SET laid_out = pg_current_xact_id() WHERE schedule_id = the_schedule;

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
