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
-- Recount the seats of every holder (B7).
-- locks: nothing
-- returns: one row per kind of damage: 'recount' (differs from visitor_seats), 'too_many'; how many
--   holders, and the users of the first of them
WITH counted AS (
    SELECT r.schedule_id, r.user_id, r.holder, count(*) AS seats
    FROM reservation AS r JOIN reserved_seat USING (reservation_id)
    WHERE r.state IN ('PENDING', 'CONFIRMED')
    GROUP BY r.schedule_id, r.user_id, r.holder
),
seen AS (
    SELECT schedule_id, user_id, coalesce(counted.seats, 0) AS seats, coalesce(v.seats, 0) AS noted
    FROM counted FULL JOIN visitor_seats AS v USING (schedule_id, user_id, holder)
)
SELECT c.kind, count(*) AS times,
    (array_agg(user_id ORDER BY user_id))[:(:examples_max)] AS examples
FROM seen JOIN schedule AS s USING (schedule_id)
CROSS JOIN LATERAL (VALUES
    ('recount', seen.seats <> noted),
    ('too_many', seen.seats > s.visitor_seats_max)
) AS c (kind, broken)
WHERE c.broken
GROUP BY c.kind ORDER BY c.kind;

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
-- Find completed payments without an event (B5), as far back as events are kept.
-- locks: nothing
-- returns: one row of kind 'untold', or none; how many payments, and the first of them
SELECT 'untold' AS kind, count(*) AS times,
    (array_agg(payment_id ORDER BY payment_id))[:(:examples_max)] AS examples
FROM payment
WHERE state = 'COMPLETED' AND paid_at > now() - make_interval(secs => :kept_s)
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
    (SELECT count(*) FROM seat WHERE state = 'OCCUPIED') AS sold,
    (SELECT count(*) FROM reservation) AS reservations,
    (SELECT count(*) FROM payment) AS payments,
    (SELECT count(*) FROM outbox) AS events;

-- name: paid_visitors(late_s, visitors_max)
-- List visitors who paid more than late_s ago, the latest first: the waiting room must know of them.
-- locks: nothing
-- returns: one row per visitor and room, with the time of the last payment
SELECT c.room, r.user_id, max(p.paid_at) AS paid_at
FROM payment AS p
JOIN reservation AS r USING (reservation_id)
JOIN schedule USING (schedule_id)
JOIN concert AS c USING (concert_id)
WHERE p.state = 'COMPLETED' AND p.paid_at <= now() - make_interval(secs => :late_s)
GROUP BY c.room, r.user_id
ORDER BY paid_at DESC
LIMIT :visitors_max;
