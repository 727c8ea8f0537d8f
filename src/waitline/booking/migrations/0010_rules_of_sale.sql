-- What operators and the law expect of a box office: performances that are cancelled or postponed, seats
-- held back, complimentary tickets, a cool-down for those who let seats go again and again, and what is
-- kept as evidence of a booking.
-- squawk-ignore-file ban-drop-constraint, constraint-missing-not-valid, require-concurrent-index-creation

ALTER TABLE schedule
    -- ON_SALE, POSTPONED or CANCELLED; only the first sells.
    ADD COLUMN sale_state text NOT NULL DEFAULT 'ON_SALE',
    ADD COLUMN state_reason text,
    ADD COLUMN state_at timestamptz,
    -- Postponed: until when buyers may give their tickets back.
    ADD COLUMN refund_until timestamptz,
    -- When the last reservation of a stopped schedule was dealt with.
    ADD COLUMN settled_at timestamptz;
CREATE INDEX schedule_to_settle ON schedule (state_at) WHERE sale_state <> 'ON_SALE' AND settled_at IS NULL;
-- NOT VALID: existing rows are all as the columns' defaults. New rows are checked.
ALTER TABLE schedule
    ADD CONSTRAINT schedule_state_known
        CHECK (sale_state IN ('ON_SALE', 'POSTPONED', 'CANCELLED')) NOT VALID,
    ADD CONSTRAINT schedule_reason_length CHECK (length(state_reason) BETWEEN 1 AND 200) NOT VALID;

-- Most seats that one visitor may hold or own in all schedules of the concert. NULL: no such limit.
ALTER TABLE concert ADD COLUMN visitor_seats_max integer;
ALTER TABLE concert ADD CONSTRAINT concert_visitor_seats_range
    CHECK (visitor_seats_max BETWEEN 1 AND 1000) NOT VALID;

ALTER TABLE seat DROP CONSTRAINT seat_state_check;
ALTER TABLE seat ADD CONSTRAINT seat_state_known
    CHECK (state IN ('AVAILABLE', 'RESERVED', 'OCCUPIED', 'HELD')) NOT VALID;

-- Seats held back from sale. Such a seat is HELD, or OCCUPIED by a complimentary ticket.
CREATE TABLE held_seat (
    seat_id bigint PRIMARY KEY REFERENCES seat ON DELETE CASCADE,
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 100),
    held_at timestamptz NOT NULL DEFAULT now()
);

-- What became of a reservation, beside its state: few have a row.
CREATE TABLE reservation_note (
    reservation_id bigint PRIMARY KEY REFERENCES reservation ON DELETE CASCADE,
    -- Name on a complimentary ticket; NULL for everybody else.
    ticket_name text CHECK (length(ticket_name) BETWEEN 1 AND 200),
    -- When it was cancelled, and by whom: a buyer's proof and network, operator or schedule.
    ended_at timestamptz,
    ended_by text CHECK (length(ended_by) <= 100)
);

-- By which kind of proof it was made, and from which network. NULL: unknown, or forgotten.
ALTER TABLE reservation ADD COLUMN made_by text;
ALTER TABLE reservation
    ADD CONSTRAINT reservation_trace_length CHECK (length(made_by) <= 100) NOT VALID;
-- For forgetting old traces.
CREATE INDEX reservation_by_age ON reservation USING brin (created_at);

ALTER TABLE payment
    ADD COLUMN refund_due_at timestamptz,
    ADD COLUMN refunded_at timestamptz;

-- Holders who let seats go unpaid, for as long as that counts.
CREATE TABLE cooldown (
    user_id text NOT NULL,
    holder text NOT NULL,
    -- The latest of them, the latest first.
    drops timestamptz[] NOT NULL CHECK (cardinality(drops) <= 100),
    -- Until when nothing is reserved; NULL if it never came to that.
    cool_until timestamptz,
    -- How often in a row.
    times integer NOT NULL DEFAULT 0,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, holder)
);
CREATE INDEX cooldown_by_age ON cooldown (changed_at);

-- The drops that count at a time, and the cool-down that follows: the first time for first_s, then for
-- twice as long each, up to most_s; anew once it has been over for a whole window.
CREATE FUNCTION cooled(
    all_drops timestamptz[], cool_until timestamptz, times integer, at timestamptz,
    drops_max integer, window_s double precision, first_s double precision, most_s double precision
) RETURNS TABLE (drops timestamptz[], next_until timestamptz, next_times integer)
LANGUAGE sql IMMUTABLE AS $$
    SELECT counted.drops,
        CASE WHEN counted.full THEN at + make_interval(secs => least(first_s * 2 ^ least(counted.times, 20), most_s))
            ELSE cool_until
        END,
        counted.times + counted.full::integer
    FROM (
        SELECT kept.drops, cardinality(kept.drops) >= drops_max AS full,
            CASE WHEN cool_until > at - make_interval(secs => window_s) THEN times ELSE 0 END AS times
        FROM (
            SELECT ARRAY(
                SELECT d FROM unnest(all_drops) AS d WHERE d > at - make_interval(secs => window_s)
                ORDER BY d DESC LIMIT least(drops_max, 100)
            ) AS drops
        ) AS kept
    ) AS counted
$$;

-- How much longer a holder's cool-down lasts; 0 or NULL if there is none. In PL/pgSQL, and so not a part of
-- the plan of the statement that reserves, which needs it only to refuse.
CREATE FUNCTION cooling_s(of_user text, of_holder text) RETURNS double precision
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        SELECT greatest(0, extract(epoch FROM c.cool_until - now()))
        FROM cooldown AS c WHERE c.user_id = of_user AND c.holder = of_holder
    );
END $$;

-- The holder's own reservation that keeps the seats of one request; NULL if fewer than least_seats of them
-- are its own.
CREATE FUNCTION own_hold(
    wanted_nos bigint[], wanted_seats bigint[], of_no bigint, least_seats bigint, of_user text,
    of_holder text
) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        SELECT min(r.reservation_id)
        FROM unnest(wanted_nos, wanted_seats) AS w (no, seat_id)
        JOIN reserved_seat AS h USING (seat_id) JOIN reservation AS r USING (reservation_id)
        WHERE w.no = of_no AND h.live AND r.user_id = of_user AND r.holder = of_holder
        HAVING count(*) >= least_seats
    );
END $$;

CREATE INDEX cooldown_to_come ON cooldown (cool_until) WHERE cool_until IS NOT NULL;

-- Whether a holder would have more seats in a concert than it allows: 'concert_limit', 'locked' (another
-- reservation of the holder is under way), or NULL. Volatile: its query sees what was committed until
-- the lock was granted, which the statement that calls it does not.
CREATE FUNCTION over_concert_limit(
    of_concert bigint, seats_max integer, of_user text, of_holder text, wanted integer
) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended(
        jsonb_build_array('concert', of_concert, of_user, of_holder)::text, 0))
    THEN RETURN 'locked';
    END IF;
    IF wanted + (
        SELECT coalesce(sum(v.seats), 0) FROM schedule AS s JOIN visitor_seats AS v USING (schedule_id)
        WHERE s.concert_id = of_concert AND v.user_id = of_user AND v.holder = of_holder
    ) > seats_max THEN RETURN 'concert_limit';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION concert_limit_of(of_schedule bigint) RETURNS integer LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        SELECT c.visitor_seats_max FROM schedule AS s JOIN concert AS c USING (concert_id)
        WHERE s.schedule_id = of_schedule
    );
END $$;
