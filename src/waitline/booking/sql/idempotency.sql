-- name: claim_key(user_id, idempotency_key, request, kept_s, patience_s)^
-- Claim an idempotency key: of all requests with a user's key, one proceeds. A key is free again when
-- its answer has expired, or when the lease of its first request has.
-- locks: idempotency (by key)
-- returns: one row: outcome 'claimed' with the time of the claim; else 'other' (the key belongs to
--   another request), 'running', or 'answered' with the answer. None if another request claimed it
--   concurrently
WITH claimed AS (
    INSERT INTO idempotency AS held (user_id, idempotency_key, request)
    VALUES (:user_id, :idempotency_key, :request)
    ON CONFLICT (user_id, idempotency_key) DO UPDATE SET
        request = excluded.request, created_at = now(), status = NULL, answer = NULL
    WHERE held.created_at <= now() - CASE
        WHEN held.status IS NULL THEN make_interval(secs => :patience_s)
        ELSE make_interval(secs => :kept_s)
    END
    RETURNING created_at
)
SELECT 'claimed' AS outcome, created_at AS claimed_at, NULL::integer AS status,
    NULL::bytea AS answer
FROM claimed
UNION ALL
SELECT
    CASE
        WHEN request <> :request THEN 'other'
        WHEN status IS NULL THEN 'running'
        ELSE 'answered'
    END,
    created_at, status, answer
FROM idempotency
WHERE user_id = :user_id AND idempotency_key = :idempotency_key
    AND NOT EXISTS (SELECT FROM claimed);

-- name: keep_answer(user_id, idempotency_key, claimed_at, status, answer)^
-- Store the answer of a request, unless another request has claimed the key meanwhile.
-- locks: idempotency (by key)
-- returns: one row if the answer was stored
UPDATE idempotency SET status = :status, answer = :answer
WHERE user_id = :user_id AND idempotency_key = :idempotency_key AND created_at = :claimed_at
    AND status IS NULL
RETURNING user_id;

-- name: free_key(user_id, idempotency_key, claimed_at)^
-- Release a claimed key: its request has no answer to store.
-- locks: idempotency (by key)
-- returns: one row if the claim was still valid
DELETE FROM idempotency
WHERE user_id = :user_id AND idempotency_key = :idempotency_key AND created_at = :claimed_at
    AND status IS NULL
RETURNING user_id;

-- name: forget_keys(kept_s, chunk_max)^
-- Delete a chunk of the keys that have expired, the oldest first.
-- locks: idempotency (skips locked ones)
-- returns: one row: how many were deleted
WITH due AS MATERIALIZED (
    SELECT user_id, idempotency_key FROM idempotency
    WHERE created_at <= now() - make_interval(secs => :kept_s)
    ORDER BY created_at
    LIMIT :chunk_max
    FOR UPDATE SKIP LOCKED
),
gone AS (
    DELETE FROM idempotency AS i USING due
    WHERE i.user_id = due.user_id AND i.idempotency_key = due.idempotency_key
    RETURNING i.user_id
)
SELECT count(*) AS keys FROM gone;
