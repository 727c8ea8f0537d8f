-- name: begin_payment(reservation_ids, user_ids, holders, amounts, methods, patience_s, at_price, grace_s, key_nos, keys, requests, languages, keys_max)
-- Store payment attempts before the provider is called. A reservation has one attempt at a time (B4),
-- and only its holder pays (B8).
-- The requests of one call are for different reservations, and have different idempotency keys.
-- Seats at price 0 are paid with amount 0, without a charge.
-- A request's idempotency key is recorded with its attempt. While another call has the key, or after
-- it, nothing is begun.
-- locks: idempotency key (advisory), reservation (skips locked ones)
-- returns: one row per request, in order: outcome 'begun' with the payment, whose currency is the
--   concert's; 'unknown', 'foreign'
--   (another holder's), 'confirmed', 'cancelled', 'expired', 'lapsed' (expired, but not swept yet),
--   'running', 'authenticating' (the one that runs waits for the visitor's bank; its charge key is
--   returned), 'amount', 'locked' (try again), 'key_running', 'key_used', 'key_limit' (most keys of a
--   holder) otherwise
WITH asked AS MATERIALIZED (
    SELECT a.no, a.reservation_id, a.user_id, a.holder, a.amount, a.method
    FROM unnest(
        :reservation_ids::bigint[], :user_ids::text[], :holders::text[], :amounts::bigint[],
        :methods::text[]
    ) WITH ORDINALITY AS a (reservation_id, user_id, holder, amount, method, no)
),
keyed AS MATERIALIZED (
    SELECT k.no, k.key, k.request, k.language, asked.user_id, asked.holder, asked.reservation_id,
        --@include key_refused
    FROM unnest(
        :key_nos::bigint[], :keys::text[], :requests::bytea[], :languages::text[]
    ) AS k (no, key, request, language)
    JOIN asked USING (no)
),
clock AS MATERIALIZED (SELECT listening_now() AS at),
found AS MATERIALIZED (
    SELECT asked.no, asked.reservation_id, asked.user_id, asked.amount, asked.method, r.price,
        r.schedule_id,
        CASE
            WHEN r.state IS NULL THEN CASE
                WHEN (
                    SELECT true FROM reservation AS r
                    WHERE r.reservation_id = asked.reservation_id
                ) THEN 'locked'
                ELSE 'unknown'
            END
            WHEN (r.user_id, r.holder) <> (asked.user_id, asked.holder) THEN 'foreign'
            WHEN keyed.refused IS NOT NULL THEN keyed.refused
            WHEN r.state <> 'PENDING' THEN lower(r.state)
            WHEN r.expires_at <= (SELECT at FROM clock) THEN 'lapsed'
            WHEN r.price <> asked.amount AND (:at_price OR asked.amount <= 0) THEN 'amount'
        END AS refused
    FROM asked LEFT JOIN keyed USING (no)
    LEFT JOIN LATERAL (
        SELECT r.user_id, r.holder, r.state, r.amount AS price, r.expires_at, r.schedule_id
        FROM reservation AS r WHERE r.reservation_id = asked.reservation_id
        LIMIT 1 FOR UPDATE SKIP LOCKED
    ) AS r ON true
),
priced AS MATERIALIZED (
    SELECT s.schedule_id, c.currency FROM schedule AS s JOIN concert AS c USING (concert_id)
    WHERE s.schedule_id = ANY(ARRAY(SELECT DISTINCT found.schedule_id FROM found))
),
made AS (
    INSERT INTO payment (reservation_id, user_id, amount, method, look_at, currency)
    SELECT reservation_id, user_id, amount, method,
        (SELECT at FROM clock) + make_interval(secs => :patience_s),
        (SELECT p.currency FROM priced AS p WHERE p.schedule_id = found.schedule_id)
    FROM found WHERE refused IS NULL
    ON CONFLICT (reservation_id) WHERE state IN ('PENDING', 'COMPLETED') DO NOTHING
    RETURNING payment_id, reservation_id, charge_key, currency
),
recorded AS (
    INSERT INTO idempotency (
        user_id, holder, idempotency_key, request, language, done, reservation_id, payment_id
    )
    SELECT user_id, holder, keyed.key, keyed.request, keyed.language, 'begun',
        reservation_id, made.payment_id
    FROM keyed JOIN made USING (reservation_id)
),
kept AS (
    UPDATE reservation
    SET paying_until = (SELECT at FROM clock) + make_interval(secs => :grace_s)
    WHERE reservation_id = ANY(ARRAY(SELECT made.reservation_id FROM made))
)
SELECT
    CASE
        WHEN found.refused IS NOT NULL THEN found.refused
        WHEN made.payment_id IS NOT NULL THEN 'begun'
        WHEN live.state = 'PENDING' AND live.flag = 'authentication' THEN 'authenticating'
        ELSE 'running'
    END AS outcome,
    coalesce(made.charge_key, live.charge_key) AS charge_key,
    coalesce(made.payment_id, live.payment_id) AS payment_id,
    coalesce(live.amount, found.amount) AS amount,
    coalesce(made.currency, live.currency) AS currency, found.price
FROM found LEFT JOIN made USING (reservation_id)
LEFT JOIN LATERAL (
    SELECT p.payment_id, p.charge_key, p.amount, p.currency, p.state, p.flag FROM payment AS p
    WHERE found.refused IS NULL AND made.payment_id IS NULL
        AND p.reservation_id = found.reservation_id AND p.state IN ('PENDING', 'COMPLETED')
    LIMIT 1
) AS live ON true
ORDER BY found.no;

-- name: confirm_payment(charge_keys, provider_refs, charged, currencies, whos, request_ids)
-- Record that the provider has charged. The reservation is confirmed, its seats are sold and the
-- event is written in the same statement (B2, B4, B5). If the reservation can no longer be confirmed,
-- the payment is refunded; likewise if the amount or currency charged differs from the request;
-- null means as requested. Idempotent: a concurrent repeat returns what the first has done. A later
-- repeat, such as the webhook after the answer, takes no locks and does not wait for the disk. The
-- charges of one call are different. A charge whose rows another transaction has locked changes
-- nothing, and the others of the call go on.
-- locks: reservation, seat (those of the reservations), payment (skips locked ones)
-- returns: one row per known charge: the payment as it is now, whether it was confirmed now, the
--   reservation's state before, and whether it is 'locked' (try again)
WITH asked AS MATERIALIZED (
    SELECT a.charge_key, a.provider_ref, a.charged, a.charged_in, a.who, a.request_id, p.payment_id,
        p.reservation_id, p.user_id, p.amount, p.currency, p.method, p.created_at, p.state, p.paid_at
    FROM unnest(
        :charge_keys::uuid[], :provider_refs::text[], :charged::bigint[], :currencies::text[],
        :whos::text[], :request_ids::text[]
    ) AS a (charge_key, provider_ref, charged, charged_in, who, request_id)
    CROSS JOIN LATERAL (
        SELECT * FROM payment AS p WHERE p.charge_key = a.charge_key LIMIT 1
    ) AS p
),
clock AS MATERIALIZED (
    SELECT at, make_interval(secs => extract(epoch FROM now() - at)::double precision) AS lost
    FROM listening_now() AS at
),
found AS MATERIALIZED (
    SELECT asked.*, r.state AS before, r.schedule_id
    FROM asked CROSS JOIN LATERAL (
        SELECT r.state, r.schedule_id FROM reservation AS r
        WHERE r.reservation_id = asked.reservation_id
        LIMIT 1 FOR UPDATE SKIP LOCKED
    ) AS r
    WHERE asked.state IN ('PENDING', 'FAILED')
),
held AS MATERIALIZED (
    SELECT found.reservation_id, h.seat_id, s.seat_id IS NULL AS locked
    FROM found JOIN reserved_seat AS h USING (reservation_id)
    LEFT JOIN LATERAL (
        SELECT s.seat_id FROM seat AS s WHERE s.seat_id = h.seat_id
        LIMIT 1 FOR UPDATE SKIP LOCKED
    ) AS s ON true
    WHERE found.before = 'PENDING' AND h.live
),
attempt AS MATERIALIZED (
    SELECT found.payment_id, found.reservation_id, found.schedule_id, found.before,
        found.provider_ref, found.charged, found.charged_in, found.who, found.request_id, p.state,
        p.paid_at, coalesce(found.charged_in <> p.currency OR found.charged <> p.amount, false) AS otherwise
    FROM found CROSS JOIN LATERAL (
        SELECT p.state, p.paid_at, p.amount, p.currency FROM payment AS p
        WHERE p.payment_id = found.payment_id
        LIMIT 1 FOR UPDATE SKIP LOCKED
    ) AS p
),
settled AS (
    UPDATE payment AS p SET
        state = CASE
            WHEN attempt.state = 'PENDING' AND attempt.before = 'PENDING' AND NOT attempt.otherwise
                THEN 'COMPLETED'
            ELSE 'REFUNDING'
        END,
        too_late = CASE
            WHEN attempt.state = 'FAILED' OR (attempt.otherwise AND attempt.before = 'PENDING')
                THEN 'FAILED'
            WHEN attempt.before <> 'PENDING' THEN attempt.before
        END,
        charged = CASE WHEN attempt.otherwise THEN attempt.charged END,
        charged_currency = CASE WHEN attempt.otherwise THEN attempt.charged_in END,
        flag = CASE
            WHEN attempt.otherwise THEN 'charged_otherwise'
            WHEN p.flag <> 'authentication' THEN p.flag
        END,
        flagged_at = CASE WHEN attempt.otherwise THEN now() ELSE p.flagged_at END,
        provider_ref = attempt.provider_ref, paid_at = now(), look_at = (SELECT at FROM clock),
        looks = 0, settled_by = coalesce(p.settled_by, attempt.who)
    FROM attempt
    WHERE p.payment_id = attempt.payment_id AND attempt.state IN ('PENDING', 'FAILED')
        AND attempt.reservation_id NOT IN (SELECT held.reservation_id FROM held WHERE held.locked)
    RETURNING p.payment_id, p.user_id, p.amount, p.state, p.paid_at, p.reservation_id, p.too_late,
        attempt.schedule_id, attempt.state AS was, attempt.before, attempt.who, attempt.request_id
),
explained AS (
    INSERT INTO evidence (reservation_id, payment_id, what, who, detail)
    SELECT settled.reservation_id, settled.payment_id, 'charged_in_vain', settled.who,
        lower(settled.too_late)
    FROM settled WHERE settled.state = 'REFUNDING'
),
closed AS (
    UPDATE reservation AS r SET
        state = CASE WHEN settled.state = 'COMPLETED' THEN 'CONFIRMED' ELSE r.state END,
        paying_until = NULL,
        expires_at = CASE
            WHEN settled.state = 'COMPLETED' THEN r.expires_at + (SELECT lost FROM clock)
            ELSE r.expires_at
        END
    FROM settled
    WHERE r.reservation_id = settled.reservation_id
        AND settled.before = 'PENDING' AND settled.was = 'PENDING'
),
sold AS (
    UPDATE seat SET state = 'OCCUPIED', changed = pg_current_xact_id()
    WHERE seat_id = ANY(ARRAY(
        SELECT held.seat_id FROM held JOIN settled USING (reservation_id)
        WHERE settled.state = 'COMPLETED'
    ))
),
emitted AS (
    INSERT INTO outbox (topic, payload, send_at)
    SELECT 'booking.payment.completed', jsonb_strip_nulls(jsonb_build_object(
        'concertId', c.room, 'userId', settled.user_id,
        'reservationId', settled.reservation_id, 'paymentId', settled.payment_id,
        'amount', settled.amount, 'requestId', settled.request_id)), (SELECT at FROM clock)
    FROM settled
    JOIN schedule USING (schedule_id)
    JOIN concert AS c USING (concert_id)
    WHERE settled.state = 'COMPLETED'
)
SELECT asked.charge_key, asked.payment_id, asked.reservation_id, asked.user_id, asked.amount,
    asked.currency, asked.method, asked.created_at,
    coalesce(settled.state = 'COMPLETED', false) AS confirmed,
    coalesce(settled.state, attempt.state, asked.state) AS state,
    coalesce(settled.paid_at, attempt.paid_at, asked.paid_at) AS paid_at,
    coalesce(attempt.before, (
        SELECT r.state FROM reservation AS r WHERE r.reservation_id = asked.reservation_id
    )) AS reservation_state,
    settled.payment_id IS NULL
        AND coalesce(attempt.state, asked.state) IN ('PENDING', 'FAILED') AS locked
FROM asked LEFT JOIN attempt USING (payment_id) LEFT JOIN settled USING (payment_id);

-- name: fail_payment(charge_key, reason, who)^
-- Record that the provider did not charge, and never will for this key. The reservation can be paid
-- again until it expires.
-- locks: reservation, payment (skips locked ones, and then changes nothing)
-- returns: one row if the attempt was open, and whether it is 'locked' (try again)
WITH
--@include open_charge
failed AS (
    UPDATE payment AS p SET state = 'FAILED', reason = :reason, flag = NULL,
        settled_by = :who::text
    FROM attempt WHERE p.payment_id = attempt.payment_id AND attempt.state = 'PENDING'
    RETURNING p.payment_id, p.reservation_id
),
explained AS (
    INSERT INTO evidence (reservation_id, payment_id, what, who, detail)
    SELECT failed.reservation_id, failed.payment_id, 'payment_failed', :who::text, :reason::text
    FROM failed
),
kept AS (
    UPDATE reservation AS r SET paying_until = NULL
    FROM failed WHERE r.reservation_id = failed.reservation_id
)
SELECT p.payment_id, failed.payment_id IS NULL AS locked
FROM payment AS p LEFT JOIN attempt USING (payment_id) LEFT JOIN failed USING (payment_id)
WHERE p.charge_key = :charge_key AND coalesce(attempt.state, p.state) = 'PENDING';

-- name: refunded_payment(charge_key, who)^
-- Record that the provider has refunded a payment.
-- locks: payment
-- returns: one row if it was being refunded
WITH refunded AS (
    UPDATE payment SET state = 'REFUNDED', refunded = coalesce(charged, amount), refunded_at = now(),
        flag = CASE WHEN flag NOT IN ('refund_pending', 'refund_failed') THEN flag END
    WHERE charge_key = :charge_key AND state = 'REFUNDING'
    RETURNING payment_id, reservation_id, refunded
),
explained AS (
    INSERT INTO evidence (reservation_id, payment_id, what, who, detail)
    SELECT r.reservation_id, r.payment_id, 'refunded', :who::text, r.refunded::text FROM refunded AS r
)
SELECT refunded.payment_id FROM refunded;

-- name: find_payment(payment_id)^
-- Read one payment, with the room and the holder of its reservation.
-- locks: nothing
-- returns: one row, or none
SELECT p.payment_id, p.reservation_id, p.user_id, p.amount, p.method, p.state, p.created_at,
    p.paid_at, r.holder, c.room
FROM payment AS p
JOIN reservation AS r USING (reservation_id)
JOIN schedule USING (schedule_id)
JOIN concert AS c USING (concert_id)
WHERE p.payment_id = :payment_id;

-- name: unsettled_payments(chunk_max, pause_s, open_pause_max_s, pause_max_s)
-- Take attempts and refunds that should be settled by now, and postpone their next check: exponential
-- backoff, which spares a provider that is down. The exponent is bounded, or it would overflow
-- after a day of checks.
-- locks: payment (skips locked ones)
-- returns: one row per payment
WITH due AS MATERIALIZED (
    SELECT payment_id FROM payment
    WHERE state IN ('PENDING', 'REFUNDING') AND look_at <= (SELECT listening_now())
    ORDER BY look_at
    LIMIT :chunk_max
    FOR UPDATE SKIP LOCKED
)
UPDATE payment AS p SET
    looks = p.looks + 1,
    look_at = (SELECT listening_now()) + make_interval(secs => least(
        :pause_s * 2 ^ least(p.looks, 20),
        CASE p.state WHEN 'PENDING' THEN :open_pause_max_s::float8 ELSE :pause_max_s::float8 END
    ))
FROM due WHERE p.payment_id = due.payment_id
RETURNING p.payment_id, p.charge_key, p.provider_ref, coalesce(p.charged, p.amount) AS amount,
    coalesce(p.charged_currency, p.currency) AS currency, p.state, p.looks, p.flag,
    extract(epoch FROM now() - p.created_at)::float8 AS age_s;
