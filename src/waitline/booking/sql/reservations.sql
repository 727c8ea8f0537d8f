-- name: reserve(schedule_ids, user_ids, holders, made_bys, wanted_nos, wanted_seats, hold_s, key_nos, keys, requests, languages, keys_max)
-- Reserve seats for visitors: for each request all of its seats, or none (B1).
-- Requests are numbered from 1. The requests of one call have no seat in common, and no two of them
-- are of one holder, or have the same idempotency key.
-- A request's idempotency key is recorded with its reservation. While another call has the key, or
-- after it, nothing is reserved.
-- Never waits for row locks: a request whose rows are locked changes nothing, and the others
-- proceed. Nothing is reserved before the schedule's sale opens, or after it has ended: at
-- sales_end, and at the latest when the performance begins. Nothing is reserved for a holder in a
-- cool-down, or beyond the limits of the schedule and the concert.
-- locks: idempotency key, holder in a concert with a limit (advisory), seat, visitor_seats (skips locked
--   ones)
-- returns: one row per request, in order: outcome 'reserved' with the reservation; 'no_schedule',
--   'not_open', 'sales_over', 'postponed', 'cancelled', 'cooling' (a cool-down, for wait_s more),
--   'concert_limit' (most seats of a holder in the concert), 'no_seat', 'taken' (by own_id, if it is the
--   holder's own), 'limit' (most seats of a holder in the schedule), 'locked' (try again),
--   'key_running', 'key_used', 'key_limit' (most keys of a holder) otherwise
WITH asked AS MATERIALIZED (
    -- The count is locked row by row, by its key: a plan made while the table is small would read all
    -- of it.
    SELECT a.no, a.schedule_id, a.user_id, a.holder, a.made_by, s.visitor_seats_max, c.room, s.opens_at,
        CASE
            WHEN s.sale_state <> 'ON_SALE' THEN lower(s.sale_state)
            WHEN s.opens_at > now() THEN 'not_open'
            WHEN least(s.sales_end, s.starts_at) <= now() THEN 'sales_over'
            -- Looked up for each only while there is any cool-down at all.
            WHEN EXISTS (SELECT FROM cooldown AS d WHERE d.cool_until > now())
                AND cooling_s(a.user_id, a.holder) > 0 THEN 'cooling'
            WHEN c.visitor_seats_max IS NOT NULL THEN over_concert_limit(
                c.concert_id, c.visitor_seats_max, a.user_id, a.holder,
                cardinality(array_positions(:wanted_nos::bigint[], a.no))
            )
        END AS shut,
        v.seats IS NOT NULL OR (
            SELECT true FROM visitor_seats AS v
            WHERE v.schedule_id = a.schedule_id AND v.user_id = a.user_id AND v.holder = a.holder
        ) IS NULL AS countable
    FROM unnest(
        :schedule_ids::bigint[], :user_ids::text[], :holders::text[], :made_bys::text[]
    ) WITH ORDINALITY AS a (schedule_id, user_id, holder, made_by, no)
    LEFT JOIN schedule AS s USING (schedule_id) LEFT JOIN concert AS c USING (concert_id)
    LEFT JOIN LATERAL (
        SELECT v.seats FROM visitor_seats AS v
        WHERE v.schedule_id = a.schedule_id AND v.user_id = a.user_id AND v.holder = a.holder
        LIMIT 1 FOR UPDATE SKIP LOCKED
    ) AS v ON true
),
keyed AS MATERIALIZED (
    SELECT k.no, k.key, k.request, k.language, asked.schedule_id, asked.user_id, asked.holder,
        --@include key_refused
    FROM unnest(
        :key_nos::bigint[], :keys::text[], :requests::bytea[], :languages::text[]
    ) AS k (no, key, request, language)
    JOIN asked USING (no)
),
clock AS MATERIALIZED (
    SELECT at, make_interval(secs => extract(epoch FROM now() - at)::double precision) AS lost
    FROM listening_now() AS at
),
wanted AS MATERIALIZED (
    SELECT w.no, w.seat_id
    FROM unnest(:wanted_nos::bigint[], :wanted_seats::bigint[]) AS w (no, seat_id)
),
locked AS MATERIALIZED (
    SELECT seat_id, schedule_id, state, price FROM seat
    WHERE seat_id = ANY(:wanted_seats::bigint[])
    ORDER BY seat_id
    FOR UPDATE SKIP LOCKED
),
found AS MATERIALIZED (
    SELECT asked.*, w.wanted, w.seats, w.free, w.amount
    FROM asked JOIN (
        SELECT no, count(*) AS wanted, count(locked.seat_id) AS seats,
            count(*) FILTER (WHERE state = 'AVAILABLE') AS free,
            coalesce(sum(price), 0)::bigint AS amount
        FROM asked JOIN wanted USING (no) LEFT JOIN locked USING (seat_id, schedule_id)
        GROUP BY no
    ) AS w USING (no)
),
counted AS (
    INSERT INTO visitor_seats AS held (schedule_id, user_id, holder, seats)
    SELECT schedule_id, user_id, holder, wanted FROM found
    WHERE countable AND free = wanted AND wanted <= visitor_seats_max AND shut IS NULL
        AND no NOT IN (SELECT keyed.no FROM keyed WHERE keyed.refused IS NOT NULL)
    ORDER BY schedule_id, user_id, holder
    ON CONFLICT (schedule_id, user_id, holder) DO UPDATE SET seats = held.seats + excluded.seats
    WHERE held.seats + excluded.seats
        <= (SELECT s.visitor_seats_max FROM schedule AS s WHERE s.schedule_id = held.schedule_id)
    RETURNING held.schedule_id, held.user_id, held.holder
),
made AS (
    INSERT INTO reservation (schedule_id, user_id, holder, amount, expires_at, made_by)
    SELECT schedule_id, user_id, holder, found.amount,
        (SELECT at FROM clock) + make_interval(secs => :hold_s), found.made_by
    FROM counted JOIN found USING (schedule_id, user_id, holder)
    RETURNING reservation_id, schedule_id, user_id, holder, amount, created_at,
        expires_at + (SELECT lost FROM clock) AS expires_at
),
recorded AS (
    INSERT INTO idempotency (
        user_id, holder, idempotency_key, request, language, done, reservation_id, expires_at
    )
    SELECT user_id, holder, keyed.key, keyed.request, keyed.language, 'reserved', reservation_id,
        made.expires_at
    FROM keyed JOIN made USING (schedule_id, user_id, holder)
),
held AS MATERIALIZED (
    SELECT wanted.seat_id, made.reservation_id
    FROM made JOIN found USING (schedule_id, user_id, holder) JOIN wanted USING (no)
),
taken AS (
    UPDATE seat SET state = 'RESERVED', changed = pg_current_xact_id()
    FROM held WHERE seat.seat_id = held.seat_id
    RETURNING seat.seat_id, seat.price, held.reservation_id
),
listed AS (
    INSERT INTO reserved_seat (reservation_id, seat_id, price)
    SELECT reservation_id, seat_id, price FROM taken
)
SELECT
    CASE
        WHEN made.reservation_id IS NOT NULL THEN 'reserved'
        WHEN keyed.refused IS NOT NULL THEN keyed.refused
        WHEN found.visitor_seats_max IS NULL THEN 'no_schedule'
        WHEN found.shut = 'postponed' THEN 'postponed'
        WHEN found.shut = 'cancelled' THEN 'cancelled'
        WHEN found.shut = 'not_open' THEN 'not_open'
        WHEN found.shut = 'sales_over' THEN 'sales_over'
        WHEN found.shut = 'cooling' THEN 'cooling'
        WHEN found.shut = 'concert_limit' THEN 'concert_limit'
        WHEN found.shut = 'locked' THEN 'locked'
        WHEN found.seats < found.wanted AND found.wanted > (
            SELECT count(*) FROM wanted JOIN seat USING (seat_id)
            WHERE wanted.no = found.no AND seat.schedule_id = found.schedule_id
        ) THEN 'no_seat'
        WHEN found.free < found.seats THEN 'taken'
        WHEN found.seats < found.wanted OR NOT found.countable THEN 'locked'
        ELSE 'limit'
    END AS outcome,
    made.reservation_id, made.amount, made.created_at, made.expires_at,
    found.visitor_seats_max, found.room, found.opens_at,
    CASE found.shut WHEN 'cooling' THEN cooling_s(found.user_id, found.holder) END AS wait_s,
    CASE found.shut WHEN 'concert_limit' THEN concert_limit_of(found.schedule_id) END
        AS concert_seats_max,
    CASE WHEN made.reservation_id IS NULL AND found.free < found.seats THEN own_hold(
        :wanted_nos::bigint[], :wanted_seats::bigint[], found.no, found.seats - found.free,
        found.user_id, found.holder
    ) END AS own_id
FROM found
LEFT JOIN made USING (schedule_id, user_id, holder)
LEFT JOIN keyed USING (no)
ORDER BY found.no;

-- name: find_reservation(reservation_id)^
-- Read one reservation with its seats. It has lapsed if its time is over and no payment is in progress;
-- the sweeper expires it within a second.
-- locks: nothing
-- returns: one row, or none
SELECT r.reservation_id, r.schedule_id, r.user_id, r.holder, r.state, r.amount, r.created_at,
    CASE WHEN r.state = 'PENDING' THEN database_time(r.expires_at) ELSE r.expires_at END AS expires_at,
    r.state = 'PENDING' AND r.expires_at <= (SELECT listening_now())
        AND coalesce(r.paying_until <= (SELECT listening_now()), true) AS lapsed,
    c.room,
    array_agg(h.seat_id ORDER BY h.seat_id) AS seat_ids
FROM reservation AS r
JOIN schedule AS s USING (schedule_id)
JOIN concert AS c USING (concert_id)
JOIN reserved_seat AS h USING (reservation_id)
WHERE r.reservation_id = :reservation_id
GROUP BY r.reservation_id, c.room;

-- name: cancel(reservation_id, user_id, holder, key, request, language, keys_max, by_operator, who, drops_max, window_s, first_s, most_s)^
-- Cancel a reservation of its holder (B8). If it is paid for, its seats are back on sale at once, and
-- its payment is REFUNDING until the provider has refunded it. Buyers may do that until the schedule's
-- cancel_until, or the date of a postponement if that is later; without either, until the start.
-- Cancelling without an attempt to pay counts towards a cool-down.
-- Seats that are held back are so again.
-- The idempotency key, if there is one, is recorded with it. While another call has the key, or after
-- it, nothing is cancelled.
-- READ COMMITTED: a locked row is seen as it is now, all others as of the statement's start. So a
-- statement that began before a payment's confirmation does not see that payment. It changes nothing
-- and returns 'again'; the next try succeeds.
-- locks: idempotency key (advisory), reservation, seat, visitor_seats, payment, cooldown (skips locked
--   ones, and then changes nothing)
-- returns: one row: outcome 'cancelled' or 'refunding'; 'unknown', 'foreign' (another holder's),
--   'paying' (a payment is in progress), 'over' (cancelled or expired before, or lapsed), 'final' (paid
--   for, and the deadline has passed), 'again' (paid for meanwhile; nothing was changed), 'locked' (try
--   again), 'key_running', 'key_used', 'key_limit' (most keys of a holder) otherwise
WITH keyed AS MATERIALIZED (
    SELECT k.key,
        --@include key_refused
    FROM (SELECT :key::text AS key) AS k
    CROSS JOIN (SELECT :user_id::text AS user_id, :holder::text AS holder) AS asked
    WHERE k.key IS NOT NULL
),
found AS MATERIALIZED (
    SELECT reservation_id, schedule_id, user_id, holder,
        user_id = :user_id AND holder = :holder AS own,
        coalesce(paying_until > (SELECT listening_now()), false) AS paying,
        CASE
            WHEN state = 'PENDING' AND expires_at <= (SELECT listening_now())
                AND coalesce(paying_until <= (SELECT listening_now()), true)
            THEN 'EXPIRED' ELSE state
        END AS state,
        (
            SELECT coalesce(greatest(s.cancel_until, s.refund_until), s.starts_at) FROM schedule AS s
            WHERE s.schedule_id = reservation.schedule_id
        ) AS cancel_until
    FROM reservation WHERE reservation_id = :reservation_id
    FOR UPDATE SKIP LOCKED
),
paid AS MATERIALIZED (
    SELECT payment_id FROM found JOIN payment USING (reservation_id)
    WHERE payment.state = 'COMPLETED'
),
due AS MATERIALIZED (
    SELECT * FROM found
    WHERE own AND NOT EXISTS (SELECT FROM keyed WHERE keyed.refused IS NOT NULL) AND (
        (state = 'PENDING' AND NOT paying) OR (
            state = 'CONFIRMED' AND EXISTS (SELECT FROM paid)
            AND (:by_operator::boolean OR cancel_until > now())
        )
    )
),
dropped AS MATERIALIZED (
    SELECT user_id, holder FROM due
    WHERE state = 'PENDING' AND NOT :by_operator::boolean AND :drops_max::integer > 0 AND (
        SELECT true FROM payment AS p WHERE p.reservation_id = due.reservation_id LIMIT 1
    ) IS NULL
),
cooling AS MATERIALIZED (
    SELECT c.user_id FROM dropped CROSS JOIN LATERAL (
        SELECT * FROM cooldown AS c
        WHERE c.user_id = dropped.user_id AND c.holder = dropped.holder
        LIMIT 1 FOR UPDATE SKIP LOCKED
    ) AS c
),
--@include due_seats
visitor AS MATERIALIZED (
    SELECT v.schedule_id, v.user_id, v.holder
    FROM due JOIN visitor_seats AS v USING (schedule_id, user_id, holder)
    FOR UPDATE OF v SKIP LOCKED
),
refundable AS MATERIALIZED (
    SELECT p.payment_id, due.reservation_id
    FROM due JOIN paid ON true JOIN payment AS p ON p.payment_id = paid.payment_id
    FOR UPDATE OF p SKIP LOCKED
),
ready AS MATERIALIZED (
    SELECT due.* FROM due
    WHERE (SELECT count(*) FROM held) = (
        SELECT count(*) FROM reserved_seat AS h
        WHERE h.reservation_id = due.reservation_id AND h.live
    ) AND (SELECT count(*) FROM visitor) = (
        SELECT count(*) FROM visitor_seats AS v
        WHERE v.schedule_id = due.schedule_id AND v.user_id = due.user_id
            AND v.holder = due.holder
    ) AND (SELECT count(*) FROM refundable) = (SELECT count(*) FROM paid)
    AND (SELECT count(*) FROM cooling) = (
        SELECT count(*) FROM dropped CROSS JOIN LATERAL (
            SELECT FROM cooldown AS c
            WHERE c.user_id = dropped.user_id AND c.holder = dropped.holder
            LIMIT 1
        ) AS c
    )
),
--@include cancelled
--@include unreserved
explained AS (
    INSERT INTO evidence (reservation_id, payment_id, what, who)
    SELECT ready.reservation_id, refundable.payment_id, 'cancelled', coalesce(:who::text, 'visitor')
    FROM ready LEFT JOIN refundable USING (reservation_id)
),
noted AS (
    INSERT INTO cooldown AS c (user_id, holder, drops, cool_until, times)
    SELECT dropped.user_id, dropped.holder, n.drops, n.next_until, n.next_times
    FROM ready CROSS JOIN dropped CROSS JOIN cooled(
        ARRAY[now()], NULL, 0, now(),
        :drops_max::integer, :window_s, :first_s, :most_s
    ) AS n
    --@include cooled_again
),
recorded AS (
    INSERT INTO idempotency (
        user_id, holder, idempotency_key, request, language, done, reservation_id
    )
    SELECT :user_id, :holder, keyed.key, :request::bytea, :language::text,
        CASE WHEN ready.state = 'CONFIRMED' THEN 'refunding' ELSE 'cancelled' END,
        ready.reservation_id
    FROM ready CROSS JOIN keyed
)
SELECT
    CASE
        WHEN found.reservation_id IS NULL AND EXISTS (
            SELECT FROM reservation WHERE reservation_id = :reservation_id
        ) THEN 'locked'
        WHEN found.reservation_id IS NULL THEN 'unknown'
        WHEN NOT found.own THEN 'foreign'
        WHEN keyed.refused IS NOT NULL THEN keyed.refused
        WHEN due.reservation_id IS NOT NULL AND ready.reservation_id IS NULL THEN 'locked'
        WHEN found.state = 'CONFIRMED' AND NOT :by_operator::boolean AND found.cancel_until <= now()
            THEN 'final'
        WHEN found.state = 'CONFIRMED' AND due.reservation_id IS NULL THEN 'again'
        WHEN found.state = 'CONFIRMED' THEN 'refunding'
        WHEN found.state <> 'PENDING' THEN 'over'
        WHEN found.paying THEN 'paying'
        ELSE 'cancelled'
    END AS outcome,
    found.state, found.schedule_id, found.cancel_until,
    (SELECT count(*) FROM freed) AS seats
FROM (SELECT 1) AS one
LEFT JOIN found ON true LEFT JOIN due ON true LEFT JOIN ready ON true LEFT JOIN keyed ON true;

-- name: expire(chunk_max, after_at, after_id, only_id, drops_max, window_s, first_s, most_s)
-- Expire a chunk of lapsed reservations, the oldest first, and put their seats back on sale (B3).
-- A payment in progress keeps the seats until it is settled. Sweepers may run concurrently. after_at and
-- after_id are of the last reservation of the chunk before, or null; only_id is null, or the only
-- reservation to look at.
-- One that nobody has tried to pay for counts towards its holder's cool-down.
-- locks: reservation, seat, visitor_seats, cooldown (skips locked ones, and leaves their reservations as
--   they are)
-- returns: one row per reservation that is due, in order, and whether it was expired
WITH due AS MATERIALIZED (
    SELECT reservation_id, schedule_id, user_id, holder, expires_at,
        :drops_max::integer > 0 AND (
            SELECT true FROM payment AS p WHERE p.reservation_id = reservation.reservation_id LIMIT 1
        ) IS NULL AS silent
    FROM reservation
    --@include lapsed
        AND (:only_id::bigint IS NULL OR reservation_id = :only_id::bigint)
    ORDER BY expires_at, reservation_id
    LIMIT :chunk_max
    FOR UPDATE SKIP LOCKED
),
--@include due_seats
--@include due_visitors
cooling AS MATERIALIZED (
    SELECT c.user_id, c.holder
    FROM (SELECT DISTINCT user_id, holder FROM due WHERE silent) AS d CROSS JOIN LATERAL (
        SELECT * FROM cooldown AS c WHERE c.user_id = d.user_id AND c.holder = d.holder
        LIMIT 1 FOR UPDATE SKIP LOCKED
    ) AS c
),
ready AS MATERIALIZED (
    SELECT due.reservation_id, due.schedule_id, due.user_id, due.holder, due.silent FROM due
    WHERE (SELECT count(*) FROM held WHERE held.reservation_id = due.reservation_id) = (
        SELECT count(*) FROM reserved_seat AS h
        WHERE h.reservation_id = due.reservation_id AND h.live
    ) AND (
        (due.schedule_id, due.user_id, due.holder)
            IN (SELECT schedule_id, user_id, holder FROM visitors)
        OR (
            SELECT true FROM visitor_seats AS v
            WHERE v.schedule_id = due.schedule_id AND v.user_id = due.user_id
                AND v.holder = due.holder
        ) IS NULL
    ) AND (
        NOT due.silent OR (due.user_id, due.holder) IN (SELECT user_id, holder FROM cooling)
        OR (
            SELECT true FROM cooldown AS c WHERE c.user_id = due.user_id AND c.holder = due.holder
        ) IS NULL
    )
),
freed AS (
    -- Never a seat that is held back: nobody could reserve it.
    UPDATE seat SET state = 'AVAILABLE', changed = pg_current_xact_id()
    FROM held JOIN ready USING (reservation_id) WHERE seat.seat_id = held.seat_id
    RETURNING seat.seat_id
),
--@include unreserved
closed AS (
    UPDATE reservation AS r
    SET state = 'EXPIRED', paying_until = NULL, expires_at = database_time(r.expires_at)
    FROM ready WHERE r.reservation_id = ready.reservation_id
),
explained AS (
    INSERT INTO evidence (reservation_id, what, who)
    SELECT ready.reservation_id, 'expired', 'expiry' FROM ready
),
noted AS (
    INSERT INTO cooldown AS c (user_id, holder, drops, cool_until, times)
    SELECT d.user_id, d.holder, n.drops, n.next_until, n.next_times
    FROM (
        SELECT user_id, holder, count(*)::integer AS times FROM ready WHERE silent
        GROUP BY user_id, holder ORDER BY user_id, holder
    ) AS d CROSS JOIN cooled(
        array_fill(now(), ARRAY[least(d.times, 100)]), NULL, 0, now(), :drops_max::integer, :window_s, :first_s, :most_s
    ) AS n
    --@include cooled_again
)
SELECT due.reservation_id, due.schedule_id, due.user_id, due.expires_at,
    ready.reservation_id IS NOT NULL AS expired
FROM due LEFT JOIN ready USING (reservation_id)
ORDER BY due.expires_at, due.reservation_id;

-- name: lapsed_reservations(chunk_max, after_at, after_id)
-- List the next chunk that expire would look at, where a whole chunk fails.
-- locks: nothing
-- returns: one row per reservation, in order
SELECT reservation_id, expires_at FROM reservation
    --@include lapsed
ORDER BY expires_at, reservation_id
LIMIT :chunk_max;
