-- name: claim_key(user_id, idempotency_key, request, kept_s, patience_s)^
-- Let one of all the requests that bear a visitor's key go on. A key is free again when its answer
-- is old, or when its first request has taken so long that its process must have died.
-- locks: idempotency (by key)
-- returns: one row: outcome 'claimed' with the moment of it; 'other' (it was given to another
--   request), 'running', 'answered' with the answer otherwise. None if it was claimed in this moment
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
-- Keep what a request with a key was answered, unless another has claimed the key meanwhile.
-- locks: idempotency (by key)
-- returns: one row if it is kept
UPDATE idempotency SET status = :status, answer = :answer
WHERE user_id = :user_id AND idempotency_key = :idempotency_key AND created_at = :claimed_at
    AND status IS NULL
RETURNING user_id;

-- name: free_key(user_id, idempotency_key, claimed_at)^
-- Give a claimed key back, for a request that has come to no answer worth keeping.
-- locks: idempotency (by key)
-- returns: one row if it was ours
DELETE FROM idempotency
WHERE user_id = :user_id AND idempotency_key = :idempotency_key AND created_at = :claimed_at
    AND status IS NULL
RETURNING user_id;

-- name: forget_keys(kept_s, chunk_max)^
-- Delete a chunk of the keys whose answers need not be kept any longer, the oldest first.
-- locks: idempotency (skips locked ones)
-- returns: one row: how many are gone
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
