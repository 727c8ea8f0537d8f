-- name: audit_seats(examples_max)
-- Compare the state of every seat with the reservations that hold it (B1, B2, B3).
-- locks: nothing
-- returns: one row per kind of damage: 'held_twice', 'held_on_sale', 'sold_twice', 'sold_not_occupied',
--   'occupied_unsold', 'reserved_unheld'; how many seats, and the first of them
WITH holds AS (
    SELECT h.seat_id,
        count(*) FILTER (WHERE r.state = 'PENDING') AS held,
        count(*) FILTER (WHERE r.state = 'CONFIRMED') AS sold
    FROM reserved_seat AS h JOIN reservation AS r USING (reservation_id)
    WHERE r.state IN ('PENDING', 'CONFIRMED')
    GROUP BY h.seat_id
),
seen AS (
    SELECT s.seat_id, s.state, coalesce(holds.held, 0) AS held, coalesce(holds.sold, 0) AS sold
    FROM seat AS s LEFT JOIN holds USING (seat_id)
)
SELECT c.kind, count(*) AS times, (array_agg(seat_id ORDER BY seat_id))[:(:examples_max)] AS examples
FROM seen CROSS JOIN LATERAL (VALUES
    ('held_twice', held + sold > 1),
    ('held_on_sale', held > 0 AND state = 'AVAILABLE'),
    ('sold_twice', sold > 1),
    ('sold_not_occupied', sold > 0 AND state <> 'OCCUPIED'),
    ('occupied_unsold', sold = 0 AND state = 'OCCUPIED'),
    ('reserved_unheld', held = 0 AND state = 'RESERVED')
) AS c (kind, broken)
WHERE c.broken
GROUP BY c.kind ORDER BY c.kind;

-- name: audit_reservations(examples_max, late_s)
-- Find reservations that contradict themselves, their seats or their payments (B1, B3, B4, B6).
-- locks: nothing
-- returns: one row per kind of damage: 'marked_wrong', 'seatless', 'lapsed', 'unpaid', 'miscounted'; how
--   many reservations, and the first of them
WITH listed AS (
    SELECT reservation_id, sum(price) AS amount, bool_and(live) AS all_live, bool_or(live) AS some_live
    FROM reserved_seat GROUP BY reservation_id
),
paid AS (
    SELECT DISTINCT reservation_id FROM payment WHERE state = 'COMPLETED'
)
SELECT c.kind, count(*) AS times,
    (array_agg(r.reservation_id ORDER BY r.reservation_id))[:(:examples_max)] AS examples
FROM reservation AS r
LEFT JOIN listed USING (reservation_id)
LEFT JOIN paid USING (reservation_id)
CROSS JOIN LATERAL (VALUES
    ('marked_wrong', CASE
        WHEN r.state IN ('PENDING', 'CONFIRMED') THEN NOT listed.all_live ELSE listed.some_live
    END),
    ('seatless', listed.reservation_id IS NULL),
    ('lapsed', r.state = 'PENDING'
        AND greatest(r.expires_at, r.paying_until)
            <= (SELECT listening_now()) - make_interval(secs => :late_s)),
    ('unpaid', r.state = 'CONFIRMED' AND paid.reservation_id IS NULL),
    ('miscounted', r.amount <> listed.amount)
) AS c (kind, broken)
WHERE c.broken
GROUP BY c.kind ORDER BY c.kind;

-- name: audit_payments(examples_max, late_s, looks_max, pending_s, at_price)
-- Find payments without a confirmed reservation, and those that are neither settled nor refunded
-- (B4, B6).
-- locks: nothing
-- returns: one row per kind of damage: 'paid_unconfirmed', 'paid_twice', 'returned_confirmed',
--   'overlooked', 'unsettled', 'refund_failed', 'refund_overdue', 'not_the_price'; how many payments,
--   and the first of them
WITH seen AS (
    SELECT p.payment_id, p.state, p.amount, p.look_at, p.looks, p.refunded, p.flag, p.flagged_at,
        r.state AS reservation_state, r.amount AS price,
        count(*) FILTER (WHERE p.state = 'COMPLETED') OVER (PARTITION BY p.reservation_id) AS times
    FROM payment AS p JOIN reservation AS r USING (reservation_id)
)
SELECT c.kind, count(*) AS times,
    (array_agg(payment_id ORDER BY payment_id))[:(:examples_max)] AS examples
FROM seen CROSS JOIN LATERAL (VALUES
    ('paid_unconfirmed', state = 'COMPLETED' AND reservation_state <> 'CONFIRMED'),
    ('paid_twice', state = 'COMPLETED' AND seen.times > 1),
    ('overlooked', state IN ('PENDING', 'REFUNDING')
        AND look_at <= (SELECT listening_now()) - make_interval(secs => :late_s)),
    ('returned_confirmed', state = 'COMPLETED' AND amount > 0 AND refunded >= amount),
    ('unsettled', state IN ('PENDING', 'REFUNDING') AND looks > :looks_max
        AND coalesce(flag NOT IN ('refund_pending', 'refund_failed'), true)),
    ('refund_failed', state = 'REFUNDING' AND flag = 'refund_failed'),
    ('refund_overdue', state = 'REFUNDING' AND flag = 'refund_pending'
        AND flagged_at <= now() - make_interval(secs => :pending_s)),
    ('not_the_price', :at_price AND state = 'COMPLETED' AND amount <> price)
) AS c (kind, broken)
WHERE c.broken
GROUP BY c.kind ORDER BY c.kind;

-- name: audit_visitors(examples_max)
-- Recount the seats of every holder, by schedule and by concert (B7). Operators give away as many
-- complimentary tickets as they like.
-- locks: nothing
-- returns: one row per kind of damage: 'recount' (differs from visitor_seats), 'too_many' (of a schedule),
--   'too_many_of_concert'; how many holders, and the users of the first of them
WITH counted AS (
    SELECT r.schedule_id, r.user_id, r.holder, count(*) AS seats
    FROM reservation AS r JOIN reserved_seat USING (reservation_id)
    WHERE r.state IN ('PENDING', 'CONFIRMED')
    GROUP BY r.schedule_id, r.user_id, r.holder
),
seen AS (
    SELECT schedule_id, user_id, holder, coalesce(counted.seats, 0) AS seats,
        coalesce(v.seats, 0) AS noted
    FROM counted FULL JOIN visitor_seats AS v USING (schedule_id, user_id, holder)
)
SELECT c.kind, count(*) AS times,
    (array_agg(user_id ORDER BY user_id))[:(:examples_max)] AS examples
FROM (
    SELECT seen.user_id, c.kind, c.broken FROM seen JOIN schedule AS s USING (schedule_id)
    CROSS JOIN LATERAL (VALUES
        ('recount', seen.seats <> noted),
        ('too_many', seen.seats > s.visitor_seats_max AND seen.holder <> 'operator')
    ) AS c (kind, broken)
    UNION ALL
    SELECT counted.user_id, 'too_many_of_concert', sum(counted.seats) > c.visitor_seats_max
    FROM counted JOIN schedule AS s USING (schedule_id) JOIN concert AS c USING (concert_id)
    WHERE c.visitor_seats_max IS NOT NULL AND counted.holder <> 'operator'
    GROUP BY c.concert_id, counted.user_id, counted.holder
) AS c
WHERE c.broken
GROUP BY c.kind ORDER BY c.kind;

-- name: limits_evidence(schedules_max)
-- Count how many seats holders have of the newest schedules, beside the limits (B7).
-- locks: nothing
-- returns: one row per schedule with any: its limit and its concert's, how many holders have seats, and
--   the most that one of them has in the schedule and in the concert
WITH newest AS MATERIALIZED (
    SELECT schedule_id, concert_id, visitor_seats_max FROM schedule
    ORDER BY schedule_id DESC LIMIT :schedules_max
),
counted AS MATERIALIZED (
    SELECT n.schedule_id, n.concert_id, r.user_id, r.holder, count(*) AS seats
    FROM newest AS n JOIN reservation AS r USING (schedule_id) JOIN reserved_seat USING (reservation_id)
    WHERE r.state IN ('PENDING', 'CONFIRMED') AND r.holder <> 'operator'
    GROUP BY n.schedule_id, n.concert_id, r.user_id, r.holder
),
of_concert AS (
    SELECT concert_id, max(seats) AS most FROM (
        SELECT concert_id, sum(seats) AS seats FROM counted GROUP BY concert_id, user_id, holder
    ) AS sums GROUP BY concert_id
)
SELECT n.schedule_id, n.concert_id, n.visitor_seats_max AS schedule_limit,
    c.visitor_seats_max AS concert_limit, count(*) AS holders, max(counted.seats) AS most,
    max(of_concert.most)::bigint AS most_of_concert
FROM newest AS n JOIN counted USING (schedule_id) JOIN concert AS c ON c.concert_id = n.concert_id
JOIN of_concert ON of_concert.concert_id = n.concert_id
GROUP BY n.schedule_id, n.concert_id, n.visitor_seats_max, c.visitor_seats_max
ORDER BY n.schedule_id;

-- name: audit_house(examples_max)
-- Compare the list of seats that are held back with the seats and their reservations (B9).
-- locks: nothing
-- returns: one row per kind of damage: 'held_unlisted' (no entry says why), 'listed_on_sale',
--   'held_sold' (to a buyer); how many seats, and the first of them
SELECT c.kind, count(*) AS times,
    (array_agg(s.seat_id ORDER BY s.seat_id))[:(:examples_max)] AS examples
FROM seat AS s
LEFT JOIN held_seat AS b USING (seat_id)
LEFT JOIN (
    SELECT h.seat_id, r.holder FROM reserved_seat AS h JOIN reservation AS r USING (reservation_id)
    WHERE h.live
) AS live USING (seat_id)
CROSS JOIN LATERAL (VALUES
    ('held_unlisted', s.state = 'HELD' AND b.seat_id IS NULL),
    ('listed_on_sale', s.state = 'AVAILABLE' AND b.seat_id IS NOT NULL),
    ('held_sold', b.seat_id IS NOT NULL AND live.holder <> 'operator')
) AS c (kind, broken)
WHERE c.broken
GROUP BY c.kind ORDER BY c.kind;

-- name: audit_stopped(examples_max, late_s)
-- Find what is left of stopped schedules (B10).
-- locks: nothing
-- returns: one row per kind of damage: 'left_over' (reservations of a cancelled schedule, or unpaid ones
--   of a postponed one), 'kept_money' (completed payments of a cancelled one); how many, and the first
--   of them
WITH stopped AS (
    SELECT schedule_id, sale_state FROM schedule
    WHERE sale_state <> 'ON_SALE' AND state_at <= now() - make_interval(secs => :late_s)
),
seen AS (
    SELECT 'left_over' AS kind, r.reservation_id AS id
    FROM stopped AS s JOIN reservation AS r USING (schedule_id)
    WHERE (r.state = 'CONFIRMED' AND s.sale_state = 'CANCELLED') OR (
        r.state = 'PENDING' AND coalesce(r.paying_until <= (SELECT listening_now()), true)
    )
    UNION ALL
    SELECT 'kept_money', p.payment_id
    FROM stopped AS s JOIN reservation AS r USING (schedule_id) JOIN payment AS p USING (reservation_id)
    WHERE s.sale_state = 'CANCELLED' AND p.state = 'COMPLETED'
)
SELECT kind, count(*) AS times, (array_agg(id ORDER BY id))[:(:examples_max)] AS examples
FROM seen GROUP BY kind ORDER BY kind;

-- name: audit_holders(examples_max)
-- Find payments and idempotency keys of others than their reservation's holder (B8).
-- locks: nothing
-- returns: one row per kind of damage: 'paid_by_another', 'key_of_another'; how many reservations, and
--   the first of them
WITH seen AS (
    SELECT 'paid_by_another' AS kind, reservation_id
    FROM payment AS p JOIN reservation AS r USING (reservation_id)
    WHERE p.user_id <> r.user_id
    UNION ALL
    SELECT 'key_of_another', reservation_id
    FROM idempotency AS i JOIN reservation AS r USING (reservation_id)
    WHERE (i.user_id, i.holder) <> (r.user_id, r.holder)
)
SELECT kind, count(*) AS times,
    (array_agg(reservation_id ORDER BY reservation_id))[:(:examples_max)] AS examples
FROM seen
GROUP BY kind ORDER BY kind;

-- name: audit_untold(examples_max, kept_s)
-- Find completed payments without an event (B5), as far back as events are kept. A complimentary ticket
-- has no visitor whose slot to free.
-- locks: nothing
-- returns: one row of kind 'untold', or none; how many payments, and the first of them
SELECT 'untold' AS kind, count(*) AS times,
    (array_agg(payment_id ORDER BY payment_id))[:(:examples_max)] AS examples
FROM payment
WHERE state = 'COMPLETED' AND method <> 'complimentary'
    AND paid_at > now() - make_interval(secs => :kept_s)
    AND payment_id NOT IN (
    SELECT (payload ->> 'paymentId')::bigint FROM outbox
    WHERE topic = 'booking.payment.completed' AND payload ? 'paymentId'
)
HAVING count(*) > 0;

-- name: audit_events(examples_max, late_s)
-- Find events that do not reach the waiting room (B5).
-- locks: nothing
-- returns: one row per kind of damage: 'unsent', 'dead'; how many events, and the first of them
SELECT c.kind, count(*) AS times,
    (array_agg(event_no ORDER BY event_no))[:(:examples_max)] AS examples
FROM outbox CROSS JOIN LATERAL (VALUES
    ('unsent', sent_at IS NULL AND NOT dead
        AND created_at <= now() - make_interval(secs => :late_s)),
    ('dead', dead)
) AS c (kind, broken)
WHERE c.broken
GROUP BY c.kind ORDER BY c.kind;

-- name: audit_counts()^
-- Count the rows that were audited.
-- locks: nothing
-- returns: one row
SELECT
    (SELECT count(*) FROM seat) AS seats,
    (SELECT count(*) FROM seat WHERE state = 'OCCUPIED') - g.seats AS sold,
    g.seats AS complimentary,
    (SELECT count(*) FROM seat WHERE state = 'HELD') AS held_back,
    (SELECT count(*) FROM reservation) AS reservations,
    (SELECT count(*) FROM payment) AS payments,
    (SELECT count(*) FROM outbox) AS events
FROM (
    SELECT count(*) AS seats FROM reservation AS r JOIN reserved_seat AS h USING (reservation_id)
    WHERE r.holder = 'operator' AND h.live
) AS g;

-- name: paid_visitors(late_s, visitors_max)
-- List visitors who paid more than late_s ago, the latest first: the waiting room must know of them.
-- locks: nothing
-- returns: one row per visitor and room, with the time of the last payment
SELECT c.room, r.user_id, max(p.paid_at) AS paid_at
FROM payment AS p
JOIN reservation AS r USING (reservation_id)
JOIN schedule USING (schedule_id)
JOIN concert AS c USING (concert_id)
WHERE p.state = 'COMPLETED' AND p.method <> 'complimentary'
    AND p.paid_at <= now() - make_interval(secs => :late_s)
GROUP BY c.room, r.user_id
ORDER BY paid_at DESC
LIMIT :visitors_max;
