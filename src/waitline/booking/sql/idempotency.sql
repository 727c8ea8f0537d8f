-- name: find_key(user_id, holder, key, request, kept_s, keys_max, never_charged)^
-- Look up a holder's idempotency key, and read the effect of its first request. Deletes the
-- holder's expired keys, and the key if it began a payment that failed for one of the reasons
-- never_charged and was not answered: the repeat makes another attempt. A write records its
-- key itself, in the statement that does it (reserve, cancel, begin_payment).
-- locks: idempotency (expired keys)
-- returns: one row: outcome 'free', or 'limit' (most keys of a holder); 'other' (the key belongs to
--   another request); 'answered' with the stored answer; 'reserved', 'cancelled', 'refunding' with the
--   reservation; 'begun' with the payment and the reservation's state
WITH stale AS MATERIALIZED (
    SELECT i.idempotency_key FROM idempotency AS i
    WHERE i.user_id = :user_id AND i.holder = :holder AND (
        i.created_at <= now() - make_interval(secs => :kept_s)
        OR (i.idempotency_key = :key AND i.done = 'begun' AND i.answer IS NULL AND (
            SELECT true FROM payment AS p WHERE p.payment_id = i.payment_id AND p.state = 'FAILED'
                AND p.reason = ANY(:never_charged::text[])
        ))
    )
),
gone AS (
    DELETE FROM idempotency AS i USING stale
    WHERE i.user_id = :user_id AND i.holder = :holder AND i.idempotency_key = stale.idempotency_key
),
used AS (
    SELECT request, language, status, answer, done, reservation_id, payment_id, expires_at
    FROM idempotency
    WHERE user_id = :user_id AND holder = :holder AND idempotency_key = :key
        AND idempotency_key NOT IN (SELECT stale.idempotency_key FROM stale)
)
SELECT
    CASE
        WHEN used.request IS NULL AND (
            SELECT count(*) FROM idempotency AS i WHERE i.user_id = :user_id AND i.holder = :holder
                AND i.idempotency_key NOT IN (SELECT stale.idempotency_key FROM stale)
        ) >= :keys_max THEN 'limit'
        WHEN used.request IS NULL THEN 'free'
        WHEN used.request <> :request THEN 'other'
        WHEN used.answer IS NOT NULL THEN 'answered'
        ELSE used.done
    END AS outcome,
    used.language, used.status, used.answer,
    r.reservation_id, r.schedule_id, r.state AS reservation_state, r.amount, r.created_at,
    coalesce(used.expires_at, r.expires_at) AS expires_at, c.room,
    (SELECT array_agg(h.seat_id ORDER BY h.seat_id) FROM reserved_seat AS h
        WHERE h.reservation_id = r.reservation_id) AS seat_ids,
    p.payment_id, p.amount AS paid_amount, p.method, p.state, p.reason, p.too_late, p.flag,
    p.charge_key, p.currency,
    p.created_at AS begun_at, p.paid_at
FROM (SELECT 1) AS one
LEFT JOIN used ON true
LEFT JOIN reservation AS r USING (reservation_id)
LEFT JOIN schedule AS s USING (schedule_id)
LEFT JOIN concert AS c USING (concert_id)
LEFT JOIN payment AS p ON p.payment_id = used.payment_id;

-- name: keep_answer(user_id, holder, key, request, language, status, answer)^
-- Record the answer of a refused request, unless its key has an answer or did something. A payment
-- that was begun and then refused gets its answer too.
-- locks: idempotency (by key)
-- returns: one row if the answer was stored
INSERT INTO idempotency AS held (
    user_id, holder, idempotency_key, request, language, status, answer
)
VALUES (:user_id, :holder, :key, :request, :language, :status, :answer)
ON CONFLICT (user_id, holder, idempotency_key) DO UPDATE
SET status = excluded.status, answer = excluded.answer
WHERE held.done = 'begun' AND held.answer IS NULL AND held.request = excluded.request
RETURNING held.user_id;

-- name: forget_keys(kept_s, chunk_max)^
-- Delete a chunk of the keys that have expired, the oldest first.
-- locks: idempotency (skips locked ones)
-- returns: one row: how many were deleted
WITH due AS MATERIALIZED (
    SELECT user_id, holder, idempotency_key FROM idempotency
    WHERE created_at <= now() - make_interval(secs => :kept_s)
    ORDER BY created_at
    LIMIT :chunk_max
    FOR UPDATE SKIP LOCKED
),
gone AS (
    DELETE FROM idempotency AS i USING due
    WHERE i.user_id = due.user_id AND i.holder = due.holder
        AND i.idempotency_key = due.idempotency_key
    RETURNING i.user_id
)
SELECT count(*) AS keys FROM gone;
