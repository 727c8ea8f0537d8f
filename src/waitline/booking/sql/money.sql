-- name: authenticate_payment(charge_key, provider_ref, patience_s, who)^
-- Record that a charge waits for the visitor's bank (3-D Secure), which keeps the seats for that long.
-- The reconciler closes the charge after it.
-- locks: reservation, payment (skips locked ones, and then changes nothing)
-- returns: one row if the attempt was open, and whether it is 'locked' (try again)
WITH
--@include open_charge
flagged AS (
    UPDATE payment AS p SET flag = 'authentication', flagged_at = now(), acknowledged = false,
        provider_ref = :provider_ref,
        look_at = (SELECT listening_now()) + make_interval(secs => :patience_s)
    FROM attempt WHERE p.payment_id = attempt.payment_id AND attempt.state = 'PENDING'
    RETURNING p.payment_id, p.reservation_id
),
explained AS (
    INSERT INTO evidence (reservation_id, payment_id, what, who)
    SELECT flagged.reservation_id, flagged.payment_id, 'authentication', :who::text FROM flagged
),
kept AS (
    UPDATE reservation AS r SET paying_until = greatest(
        r.paying_until, (SELECT listening_now()) + make_interval(secs => :patience_s)
    )
    FROM flagged WHERE r.reservation_id = flagged.reservation_id
)
SELECT p.payment_id, flagged.payment_id IS NULL AS locked
FROM payment AS p LEFT JOIN attempt USING (payment_id) LEFT JOIN flagged USING (payment_id)
WHERE p.charge_key = :charge_key AND coalesce(attempt.state, p.state) = 'PENDING';

-- name: move_money(charge_key, provider_ref, refunded, gone, news, who)^
-- Record a refund or dispute that the provider reports, in any order and any number of times. The
-- charge is named by its key, or by the provider's id. refunded is all that was refunded so far, or
-- null; gone says that nothing of the charge is left; news is 'refunded' or a flag.
-- A charge whose money is gone is REFUNDED, and its reservation is CANCELLED: its seats are on sale
-- again (B4). A refund that turns out to have failed is REFUNDING again.
-- locks: reservation, seat, visitor_seats, payment (skips locked ones, and then changes nothing)
-- returns: one row if the charge is known: the payment's state, its flag, whether that is new, how many
--   seats are on sale again, and whether it is 'locked' (try again)
WITH named AS MATERIALIZED (
    SELECT payment_id, reservation_id, state, flag FROM payment WHERE charge_key = :charge_key::uuid
    UNION ALL
    SELECT payment_id, reservation_id, state, flag FROM payment
    WHERE :charge_key::uuid IS NULL AND provider_ref = :provider_ref::text
    LIMIT 1
),
found AS MATERIALIZED (
    SELECT r.reservation_id, r.schedule_id, r.user_id, r.holder, r.state FROM reservation AS r
    WHERE r.reservation_id = (SELECT reservation_id FROM named)
    FOR UPDATE SKIP LOCKED
),
held AS MATERIALIZED (
    SELECT s.seat_id, h.reservation_id
    FROM found JOIN reserved_seat AS h USING (reservation_id) JOIN seat AS s USING (seat_id)
    WHERE h.live
    ORDER BY s.seat_id
    FOR UPDATE OF s SKIP LOCKED
),
visitor AS MATERIALIZED (
    SELECT v.schedule_id, v.user_id
    FROM found JOIN visitor_seats AS v USING (schedule_id, user_id, holder)
    FOR UPDATE OF v SKIP LOCKED
),
attempt AS MATERIALIZED (
    SELECT p.payment_id, p.state, p.flag, p.flagged_at, p.acknowledged, p.refunded,
        coalesce(p.charged, p.amount) AS whole
    FROM found JOIN payment AS p USING (reservation_id)
    WHERE p.payment_id = (SELECT payment_id FROM named)
    FOR UPDATE OF p SKIP LOCKED
),
seen AS MATERIALIZED (
    SELECT found.reservation_id, found.schedule_id, found.user_id, found.holder, attempt.payment_id,
        attempt.state, attempt.flag, attempt.refunded, attempt.whole,
        attempt.state <> 'REFUNDED'
            AND (:gone::boolean OR (attempt.whole > 0 AND :refunded::bigint >= attempt.whole)) AS gone,
        :news::text = 'refund_failed' AND attempt.state = 'REFUNDED'
            AND attempt.flag IS DISTINCT FROM 'dispute_lost' AS back,
        found.state = 'CONFIRMED' AND attempt.state = 'COMPLETED' AS sold
    FROM found JOIN attempt ON true
),
ready AS MATERIALIZED (
    SELECT seen.*, seen.gone AND seen.sold AS frees,
        CASE
            WHEN seen.flag = 'dispute_lost' THEN seen.flag
            WHEN :news::text = 'disputed' AND seen.flag IN ('dispute_won', 'dispute_lost') THEN seen.flag
            WHEN :news::text = 'refunded' AND seen.state IN ('REFUNDING', 'REFUNDED') THEN CASE
                WHEN seen.gone AND seen.flag IN ('refund_pending', 'refund_failed') THEN NULL
                ELSE seen.flag
            END
            WHEN :news::text = 'refunded' AND seen.gone THEN 'refunded_elsewhere'
            WHEN :news::text = 'refunded' AND :refunded::bigint > seen.refunded THEN 'refunded_in_part'
            WHEN :news::text = 'refunded' THEN seen.flag
            WHEN :news::text = 'refund_pending' AND seen.state <> 'REFUNDING' THEN seen.flag
            WHEN :news::text = 'refund_failed' AND seen.state IN ('PENDING', 'FAILED') THEN seen.flag
            ELSE :news::text
        END AS new_flag
    FROM seen
    WHERE NOT (seen.gone AND seen.sold) OR (
        (SELECT count(*) FROM held) = (
            SELECT count(*) FROM reserved_seat AS h
            WHERE h.reservation_id = seen.reservation_id AND h.live
        ) AND (SELECT count(*) FROM visitor) = (
            SELECT count(*) FROM visitor_seats AS v WHERE v.schedule_id = seen.schedule_id
                AND v.user_id = seen.user_id AND v.holder = seen.holder
        )
    )
),
moved AS (
    UPDATE payment AS p SET
        state = CASE
            WHEN ready.gone THEN 'REFUNDED' WHEN ready.back THEN 'REFUNDING' ELSE p.state
        END,
        refunded = CASE
            WHEN ready.gone THEN ready.whole WHEN ready.back THEN 0
            ELSE greatest(p.refunded, coalesce(:refunded::bigint, 0))
        END,
        too_late = CASE
            WHEN ready.gone AND ready.state IN ('PENDING', 'FAILED') THEN 'FAILED' ELSE p.too_late
        END,
        refunded_at = CASE WHEN ready.gone THEN now() WHEN ready.back THEN NULL ELSE p.refunded_at END,
        look_at = CASE WHEN ready.back THEN (SELECT listening_now()) ELSE p.look_at END,
        looks = CASE WHEN ready.back THEN 0 ELSE p.looks END,
        flag = ready.new_flag,
        flagged_at = CASE
            WHEN ready.new_flag IS NOT DISTINCT FROM p.flag
                AND ready.new_flag IS DISTINCT FROM 'refunded_in_part' THEN p.flagged_at
            ELSE now()
        END,
        -- A further partial refund is news too.
        acknowledged = p.acknowledged AND ready.new_flag IS NOT DISTINCT FROM p.flag
            AND coalesce(:refunded::bigint, 0) <= p.refunded
    FROM ready WHERE p.payment_id = ready.payment_id
    RETURNING p.payment_id, p.state, p.flag, p.refunded
),
explained AS (
    -- A report that changes nothing is no entry.
    INSERT INTO evidence (reservation_id, payment_id, what, who, detail)
    SELECT ready.reservation_id, ready.payment_id, n.what, :who::text, n.detail
    FROM ready JOIN moved USING (payment_id) CROSS JOIN LATERAL (
        SELECT CASE WHEN ready.gone THEN 'refunded' ELSE coalesce(moved.flag, :news::text) END AS what,
            nullif(moved.refunded, 0)::text AS detail
        WHERE ready.gone OR ready.back OR moved.flag IS DISTINCT FROM ready.flag
            OR moved.refunded <> ready.refunded
        UNION ALL
        SELECT moved.flag, NULL WHERE ready.gone AND moved.flag IS DISTINCT FROM ready.flag
            AND moved.flag IS NOT NULL
        UNION ALL
        SELECT 'cancelled', moved.flag WHERE ready.frees
    ) AS n
),
freed AS (
    UPDATE seat SET state = 'AVAILABLE', changed = pg_current_xact_id()
    FROM held JOIN ready USING (reservation_id) WHERE ready.frees AND seat.seat_id = held.seat_id
    RETURNING seat.seat_id
),
ended AS (
    UPDATE reserved_seat AS h SET live = false
    FROM held JOIN ready USING (reservation_id)
    WHERE ready.frees AND h.reservation_id = held.reservation_id AND h.seat_id = held.seat_id
),
counted AS (
    UPDATE visitor_seats AS v SET seats = v.seats - (SELECT count(*) FROM freed)
    FROM ready
    WHERE ready.frees AND v.schedule_id = ready.schedule_id AND v.user_id = ready.user_id
        AND v.holder = ready.holder
),
closed AS (
    UPDATE reservation AS r SET
        state = CASE WHEN ready.frees THEN 'CANCELLED' ELSE r.state END, paying_until = NULL
    FROM ready
    WHERE r.reservation_id = ready.reservation_id
        AND (ready.frees OR (ready.gone AND ready.state = 'PENDING'))
)
SELECT named.payment_id, coalesce(moved.state, named.state) AS state, moved.flag,
    moved.flag IS DISTINCT FROM named.flag AS is_new, (SELECT count(*) FROM freed) AS seats,
    ready.payment_id IS NULL AS locked
FROM named LEFT JOIN ready USING (payment_id) LEFT JOIN moved USING (payment_id);

-- name: flagged_payments(rows_max, pending_s, looks_max)
-- List payments that need an operator's attention, the longest flagged first: those with a flag that
-- nobody has acknowledged, refunds that are pending for long, and payments that stay open.
-- locks: nothing
-- returns: one row per payment, with the number of all of them
SELECT p.payment_id, p.reservation_id, p.user_id, p.amount, p.currency, p.charged, p.charged_currency, p.refunded, p.state,
    coalesce(p.flag, 'unsettled') AS flag, coalesce(p.flagged_at, p.created_at) AS since,
    p.provider_ref, p.reason, count(*) OVER () AS payments
FROM payment AS p
WHERE p.payment_id IN (
    SELECT f.payment_id FROM payment AS f
    WHERE f.flag IS NOT NULL AND NOT f.acknowledged AND CASE
        WHEN f.flag IN ('authentication', 'dispute_won') THEN false
        WHEN f.flag = 'refund_pending'
            THEN f.flagged_at <= now() - make_interval(secs => :pending_s)
        ELSE true
    END
    UNION ALL
    SELECT o.payment_id FROM payment AS o
    WHERE o.state IN ('PENDING', 'REFUNDING') AND o.looks > :looks_max AND o.flag IS NULL
)
ORDER BY since
LIMIT :rows_max;

-- name: acknowledge_payment(payment_id)^
-- Record that an operator has seen a payment's flag.
-- locks: payment
-- returns: one row if it has a flag
UPDATE payment SET acknowledged = true
WHERE payment_id = :payment_id AND flag IS NOT NULL
RETURNING flag;

-- name: payments_by_key(charge_keys)
-- Read the payments of charges in the provider's list.
-- locks: nothing
-- returns: one row per known charge
SELECT payment_id, charge_key, amount, currency, charged, charged_currency, refunded, state, flag
FROM payment WHERE charge_key = ANY(:charge_keys::uuid[]);

-- name: charged_payments(since_s, late_s, after_id, rows_max)
-- List payments that the provider must know: charged since a time, and not lately.
-- locks: nothing
-- returns: one row per payment after after_id, in order of their ids
SELECT payment_id, charge_key FROM payment
WHERE created_at > now() - make_interval(secs => :since_s)
    AND created_at <= now() - make_interval(secs => :late_s)
    AND state IN ('COMPLETED', 'REFUNDING', 'REFUNDED') AND amount > 0
    AND payment_id > :after_id
ORDER BY payment_id
LIMIT :rows_max;
