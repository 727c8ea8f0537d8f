-- name: stop_schedule(schedule_id, state, reason, refund_until, who)^
-- Stop the sale of a schedule at once, and log it: CANCELLED, or POSTPONED with a date until when buyers
-- may give their tickets back. A postponed schedule may be cancelled or postponed again; one that is
-- cancelled stays so. Idempotent: a repeat changes nothing.
-- locks: schedule
-- returns: one row: its state before and now, and whether anything has changed; none if there is no such
--   schedule
WITH found AS MATERIALIZED (
    SELECT schedule_id, concert_id, sale_state, refund_until, state_reason FROM schedule
    WHERE schedule_id = :schedule_id
    FOR UPDATE
),
stopped AS (
    UPDATE schedule AS s SET sale_state = :state, state_reason = :reason::text, state_at = now(),
        refund_until = :refund_until::timestamptz, settled_at = NULL
    FROM found
    WHERE s.schedule_id = found.schedule_id AND found.sale_state <> 'CANCELLED'
        AND (found.sale_state, found.refund_until, found.state_reason)
            IS DISTINCT FROM (:state, :refund_until::timestamptz, :reason::text)
    RETURNING s.schedule_id, s.sale_state, s.state_reason, s.refund_until
),
logged AS (
    INSERT INTO catalogue_change (who, what, concert_id, schedule_id, before, after)
    SELECT :who, 'schedule ' || lower(now_.sale_state), found.concert_id, found.schedule_id,
        jsonb_strip_nulls(jsonb_build_object('status', found.sale_state, 'reason', found.state_reason,
            'refundUntil', found.refund_until)),
        jsonb_strip_nulls(jsonb_build_object('status', now_.sale_state, 'reason', now_.state_reason,
            'refundUntil', now_.refund_until))
    FROM found JOIN stopped AS now_ USING (schedule_id)
)
SELECT found.sale_state AS before, stopped.schedule_id IS NOT NULL AS changed
FROM found LEFT JOIN stopped USING (schedule_id);

-- name: resume_schedule(schedule_id, who)^
-- Sell a postponed schedule again, and log it. Buyers may still give their tickets back until the date they were
-- promised.
-- locks: schedule
-- returns: one row: its state before; none if there is no such schedule
WITH found AS MATERIALIZED (
    SELECT schedule_id, concert_id, sale_state FROM schedule WHERE schedule_id = :schedule_id FOR UPDATE
),
resumed AS (
    UPDATE schedule AS s SET sale_state = 'ON_SALE', state_at = now()
    FROM found WHERE s.schedule_id = found.schedule_id AND found.sale_state = 'POSTPONED'
    RETURNING s.schedule_id, s.concert_id
),
logged AS (
    INSERT INTO catalogue_change (who, what, concert_id, schedule_id, before, after)
    SELECT :who, 'schedule resumed', concert_id, schedule_id, '{"status": "POSTPONED"}'::jsonb,
        '{"status": "ON_SALE"}'::jsonb
    FROM resumed
)
SELECT found.sale_state AS before FROM found;

-- name: unsettled_schedules(schedules_max)
-- List stopped schedules whose reservations have not all been dealt with.
-- locks: nothing
-- returns: one row per schedule, the one that was stopped first at the beginning
SELECT schedule_id FROM schedule
WHERE sale_state <> 'ON_SALE' AND settled_at IS NULL
ORDER BY state_at
LIMIT :schedules_max;

-- name: end_reservations(schedule_id, chunk_max, late_s)^
-- End a chunk of the reservations of a stopped schedule: those that are not paid for, and of a cancelled
-- one those that are, too; their payments are REFUNDING (B10). A payment in progress keeps its reservation
-- until it is settled. Seats that are held back are so again. Several processes may run this at once.
-- Statements that began before the stop may still add reservations, so a schedule is settled only when
-- it was stopped more than late_s ago and has none left.
-- locks: reservation, seat, visitor_seats, payment (skips locked ones, and leaves their reservations to
--   the next chunk)
-- returns: one row: how many reservations were left before, how many of them were ended, how many of
--   these are refunded, and whether the schedule is settled; none if it is not stopped
WITH stopped AS MATERIALIZED (
    SELECT schedule_id, sale_state, state_at, state_reason FROM schedule
    WHERE schedule_id = :schedule_id AND sale_state <> 'ON_SALE'
),
live AS MATERIALIZED (
    SELECT DISTINCT r.reservation_id, r.state, r.paying_until
    FROM stopped CROSS JOIN LATERAL (
        SELECT s.seat_id FROM seat AS s
        WHERE s.schedule_id = stopped.schedule_id AND s.state IN ('RESERVED', 'OCCUPIED')
    ) AS s
    CROSS JOIN LATERAL (
        SELECT h.reservation_id FROM reserved_seat AS h WHERE h.seat_id = s.seat_id AND h.live LIMIT 1
    ) AS h
    CROSS JOIN LATERAL (
        SELECT * FROM reservation AS r WHERE r.reservation_id = h.reservation_id LIMIT 1
    ) AS r
    WHERE r.state = 'PENDING' OR stopped.sale_state = 'CANCELLED'
),
due AS MATERIALIZED (
    SELECT r.reservation_id, r.schedule_id, r.user_id, r.holder, r.state
    FROM reservation AS r
    WHERE r.reservation_id = ANY(ARRAY(
            SELECT live.reservation_id FROM live
            WHERE live.state = 'CONFIRMED' OR live.paying_until IS NULL
                OR live.paying_until <= (SELECT listening_now())
            ORDER BY live.reservation_id
            LIMIT :chunk_max
        ))
        AND (
            (r.state = 'CONFIRMED' AND (SELECT sale_state FROM stopped) = 'CANCELLED') OR (
                r.state = 'PENDING'
                AND (r.paying_until IS NULL OR r.paying_until <= (SELECT listening_now()))
            )
        )
    ORDER BY r.reservation_id
    FOR UPDATE SKIP LOCKED
),
--@include due_seats
--@include due_visitors
refundable AS MATERIALIZED (
    SELECT p.payment_id, p.reservation_id
    FROM due JOIN payment AS p USING (reservation_id)
    WHERE p.state = 'COMPLETED'
    ORDER BY p.payment_id
    FOR UPDATE OF p SKIP LOCKED
),
ready AS MATERIALIZED (
    SELECT due.* FROM due
    WHERE (SELECT count(*) FROM held WHERE held.reservation_id = due.reservation_id) = (
        SELECT count(*) FROM reserved_seat AS h
        WHERE h.reservation_id = due.reservation_id AND h.live
    ) AND (due.schedule_id, due.user_id, due.holder)
        IN (SELECT schedule_id, user_id, holder FROM visitors)
    AND (
        due.state = 'PENDING'
        OR due.reservation_id IN (SELECT reservation_id FROM refundable)
    )
),
--@include cancelled
--@include unreserved
explained AS (
    INSERT INTO reservation_note (reservation_id, ended_at, ended_by)
    SELECT ready.reservation_id, now(), 'schedule' FROM ready
    ON CONFLICT (reservation_id) DO UPDATE
    SET ended_at = excluded.ended_at, ended_by = excluded.ended_by
),
logged AS (
    INSERT INTO evidence (reservation_id, payment_id, what, who, detail)
    SELECT ready.reservation_id, refundable.payment_id, 'cancelled',
        'schedule ' || lower(stopped.sale_state), stopped.state_reason
    FROM stopped CROSS JOIN ready LEFT JOIN refundable USING (reservation_id)
),
settled AS (
    UPDATE schedule AS s SET settled_at = now()
    FROM stopped WHERE s.schedule_id = stopped.schedule_id AND s.settled_at IS NULL
        AND stopped.state_at = s.state_at
        AND stopped.state_at <= now() - make_interval(secs => :late_s)
        AND NOT EXISTS (SELECT FROM live)
    RETURNING s.schedule_id
)
SELECT (SELECT count(*) FROM live) AS live, (SELECT count(*) FROM ready) AS ended,
    (SELECT count(*) FROM refunding) AS refunding, EXISTS (SELECT FROM settled) AS settled
FROM stopped;

-- name: stop_progress(schedule_id, looks_max)^
-- Count the ended reservations and the refunds of a schedule. Reads all of them, so it is for
-- operators only.
-- locks: nothing
-- returns: one row: its state, reason and dates; live reservations, paid or not; payments in progress;
--   refunds due, made and failed, and their amounts; none if there is no such schedule
WITH mine AS MATERIALIZED (
    SELECT DISTINCT r.reservation_id, r.state, n.ended_by
    FROM seat AS s JOIN reserved_seat AS h USING (seat_id) JOIN reservation AS r USING (reservation_id)
    LEFT JOIN reservation_note AS n USING (reservation_id)
    WHERE s.schedule_id = :schedule_id
),
refunds AS MATERIALIZED (
    SELECT p.state, p.flag, p.looks, coalesce(p.charged, p.amount) AS amount
    FROM mine JOIN payment AS p USING (reservation_id)
    WHERE mine.ended_by = 'schedule' AND p.state IN ('REFUNDING', 'REFUNDED')
        AND p.method <> 'complimentary'
)
SELECT s.schedule_id, s.sale_state AS state, s.state_reason, s.state_at, s.refund_until, s.settled_at,
    (SELECT count(*) FROM mine WHERE mine.state = 'PENDING') AS pending,
    (SELECT count(*) FROM mine WHERE mine.state = 'CONFIRMED') AS sold,
    (
        SELECT count(*) FROM mine JOIN payment AS p USING (reservation_id) WHERE p.state = 'PENDING'
    ) AS paying,
    (SELECT count(*) FROM refunds) AS refunds,
    (SELECT count(*) FROM refunds AS f WHERE f.state = 'REFUNDED') AS refunded,
    (
        SELECT count(*) FROM refunds AS f
        WHERE f.state = 'REFUNDING' AND (f.flag = 'refund_failed' OR f.looks > :looks_max)
    ) AS failed,
    (SELECT coalesce(sum(f.amount), 0)::bigint FROM refunds AS f) AS amount,
    (
        SELECT coalesce(sum(f.amount), 0)::bigint FROM refunds AS f WHERE f.state = 'REFUNDED'
    ) AS amount_refunded
FROM schedule AS s WHERE s.schedule_id = :schedule_id;

-- name: failed_refunds(schedule_id, looks_max, rows_max)
-- List refunds of a cancelled schedule that the provider has not made after several attempts.
-- locks: nothing
-- returns: one row per payment, the oldest first
SELECT DISTINCT p.payment_id, p.reservation_id, p.user_id, coalesce(p.charged, p.amount) AS amount,
    p.flag, p.looks, p.provider_ref, p.refund_due_at
FROM seat AS s JOIN reserved_seat AS h USING (seat_id)
JOIN reservation_note AS n USING (reservation_id) JOIN payment AS p USING (reservation_id)
WHERE s.schedule_id = :schedule_id AND n.ended_by = 'schedule' AND p.state = 'REFUNDING'
    AND (p.flag = 'refund_failed' OR p.looks > :looks_max)
ORDER BY p.refund_due_at, p.payment_id
LIMIT :rows_max;
