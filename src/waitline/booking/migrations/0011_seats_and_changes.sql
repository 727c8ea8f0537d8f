-- Seats with section, row and number; seats that can be removed; the log of the catalogue's changes.
-- squawk-ignore-file ban-drop-constraint, constraint-missing-not-valid
-- squawk-ignore-file disallowed-unique-constraint, require-concurrent-index-creation

-- The number along the row; NULL: the same as seat_number, which is what visitors see.
ALTER TABLE seat ADD COLUMN seat_no text;
-- NOT VALID: existing rows satisfy the narrower checks of before. New rows are checked.
ALTER TABLE seat
    ADD CONSTRAINT seat_no_length CHECK (length(seat_no) BETWEEN 1 AND 50) NOT VALID,
    DROP CONSTRAINT seat_seat_number_check,
    -- A label may join section, row and number.
    ADD CONSTRAINT seat_number_length CHECK (length(seat_number) BETWEEN 1 AND 130) NOT VALID,
    -- Deferrable: checked when a statement has ended, so that one may swap labels and positions.
    DROP CONSTRAINT seat_named_once,
    ADD CONSTRAINT seat_named_once UNIQUE (schedule_id, seat_number) DEFERRABLE,
    DROP CONSTRAINT seat_placed_once,
    ADD CONSTRAINT seat_placed_once UNIQUE (schedule_id, section, row_name, row_position) DEFERRABLE;
CREATE UNIQUE INDEX seat_numbered_once
    ON seat (schedule_id, section, row_name, coalesce(seat_no, seat_number));

-- Seats that were removed, for the reservations that once held them.
CREATE TABLE removed_seat (
    seat_id bigint PRIMARY KEY,
    schedule_id bigint NOT NULL,
    section text NOT NULL,
    row_name text NOT NULL,
    seat_no text NOT NULL,
    seat_number text NOT NULL,
    grade text NOT NULL,
    price bigint NOT NULL,
    removed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX removed_seat_by_schedule ON removed_seat (schedule_id);
-- A reservation that is over may name a removed seat. That a live one does not is kept by the statement
-- that removes seats: it locks them, and removes none that is RESERVED or OCCUPIED.
ALTER TABLE reserved_seat DROP CONSTRAINT reserved_seat_seat_id_fkey;

-- Who changed what in the catalogue, and when. The ids are no foreign keys: entries outlive their subject.
CREATE TABLE catalogue_change (
    change_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    -- "command line", or "operator" and a digest of the key.
    who text NOT NULL CHECK (length(who) BETWEEN 1 AND 100),
    what text NOT NULL CHECK (length(what) BETWEEN 1 AND 50),
    concert_id bigint NOT NULL,
    schedule_id bigint,
    -- Only what differs; NULL before a creation and after a deletion.
    before jsonb,
    after jsonb
);
CREATE INDEX catalogue_change_by_concert ON catalogue_change (concert_id, change_no);

-- How many seats a schedule has, how many of them are reserved or sold, and the most that one holder has.
-- Volatile: it sees what was committed until its caller's lock was granted, which the caller's own
-- statement does not.
CREATE FUNCTION seats_in_use(
    of_schedule bigint, OUT seats bigint, OUT booked bigint, OUT most bigint
) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    SELECT count(*), count(*) FILTER (WHERE s.state IN ('RESERVED', 'OCCUPIED')) INTO seats, booked
    FROM seat AS s WHERE s.schedule_id = of_schedule;
    SELECT coalesce(max(v.seats), 0) INTO most FROM visitor_seats AS v WHERE v.schedule_id = of_schedule;
END $$;

-- The same over all schedules of a concert, and how many these are.
CREATE FUNCTION schedules_in_use(
    of_concert bigint, OUT schedules bigint, OUT seats bigint, OUT booked bigint
) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    SELECT count(*), coalesce(sum(u.seats), 0), coalesce(sum(u.booked), 0) INTO schedules, seats, booked
    FROM schedule AS s CROSS JOIN LATERAL seats_in_use(s.schedule_id) AS u
    WHERE s.concert_id = of_concert;
END $$;
