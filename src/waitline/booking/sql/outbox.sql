-- name: take_events(batch_max, pause_s, pause_max_s)
-- Take unsent events and postpone their next attempt: visibility timeout, doubled at every attempt.
-- If the relay dies, the event is taken again after that. Only the earliest unsent event of each
-- reservation is taken, so the order is kept (B5).
-- locks: outbox (skips locked ones)
-- returns: one row per event
WITH due AS MATERIALIZED (
    SELECT o.event_no FROM outbox AS o
    WHERE o.sent_at IS NULL AND NOT o.dead AND o.send_at <= (SELECT listening_now())
        AND NOT EXISTS (
            SELECT FROM outbox AS earlier
            WHERE earlier.payload ->> 'reservationId' = o.payload ->> 'reservationId'
                AND earlier.event_no < o.event_no AND earlier.sent_at IS NULL
        )
    ORDER BY o.event_no
    LIMIT :batch_max
    FOR UPDATE OF o SKIP LOCKED
)
UPDATE outbox AS o SET
    attempts = o.attempts + 1,
    send_at = (SELECT listening_now())
        + make_interval(secs => least(:pause_s * 2 ^ least(o.attempts, 30), :pause_max_s))
FROM due WHERE o.event_no = due.event_no
RETURNING o.event_no, o.event_id, o.topic, o.payload, o.created_at,
    greatest(floor(extract(epoch FROM now() - o.created_at) * 1000), 0)::bigint AS age_ms;

-- name: sent_events(event_nos)
-- Mark events as sent. One that is passed over is sent again.
-- locks: outbox (skips locked ones)
-- returns: one row per event that was not marked before
WITH found AS MATERIALIZED (
    SELECT event_no FROM outbox
    WHERE event_no = ANY(:event_nos::bigint[]) AND sent_at IS NULL
    FOR UPDATE SKIP LOCKED
)
UPDATE outbox AS o SET sent_at = now(), last_error = NULL
FROM found WHERE o.event_no = found.event_no
RETURNING o.event_no;

-- name: return_events(event_nos, error)
-- Return events that were not sent because the store did not answer. The attempt does not count.
-- locks: outbox (skips locked ones)
-- returns: one row per event
WITH found AS MATERIALIZED (
    SELECT event_no FROM outbox
    WHERE event_no = ANY(:event_nos::bigint[]) AND sent_at IS NULL AND attempts > 0
    FOR UPDATE SKIP LOCKED
)
UPDATE outbox AS o SET
    attempts = o.attempts - 1, send_at = (SELECT listening_now()), last_error = left(:error, 500)
FROM found WHERE o.event_no = found.event_no
RETURNING o.event_no;

-- name: refused_event(event_no, error, attempts_max)^
-- Record why the store rejected an event. After attempts_max it is a dead letter, until an operator
-- retries it.
-- locks: outbox
-- returns: one row: whether the event is dead
UPDATE outbox SET last_error = left(:error, 500), dead = attempts >= :attempts_max
WHERE event_no = :event_no AND sent_at IS NULL
RETURNING dead;

-- name: forget_events(kept_s, chunk_max)
-- Delete a chunk of the events that were sent more than kept_s ago.
-- locks: outbox (skips locked ones)
-- returns: one row per event
WITH old AS MATERIALIZED (
    SELECT event_no FROM outbox
    WHERE sent_at <= now() - make_interval(secs => :kept_s)
    ORDER BY sent_at
    LIMIT :chunk_max
    FOR UPDATE SKIP LOCKED
)
DELETE FROM outbox USING old WHERE outbox.event_no = old.event_no
RETURNING outbox.event_no;

-- name: unsent_events(rows_max)
-- List unsent events, dead ones first.
-- locks: nothing
-- returns: one row per event, with the number of all unsent events
SELECT event_id, topic, payload, created_at, attempts, dead, last_error, count(*) OVER () AS events
FROM outbox WHERE sent_at IS NULL
ORDER BY dead DESC, event_no
LIMIT :rows_max;

-- name: retry_events(event_ids, chunk_max)
-- Make dead events due again: those given, or all.
-- locks: outbox
-- returns: one row per event
WITH chosen AS MATERIALIZED (
    SELECT event_no FROM outbox
    WHERE dead AND sent_at IS NULL
        AND (:event_ids::uuid[] IS NULL OR event_id = ANY(:event_ids::uuid[]))
    ORDER BY event_no
    LIMIT :chunk_max
    FOR UPDATE
)
UPDATE outbox AS o SET dead = false, attempts = 0, send_at = (SELECT listening_now())
FROM chosen WHERE o.event_no = chosen.event_no
RETURNING o.event_id;

-- name: resend_events(since_ms, after_no, chunk_max)
-- Make a chunk of the events due again that were sent since a time.
-- locks: outbox (skips locked ones)
-- returns: one row per event
WITH found AS MATERIALIZED (
    SELECT event_no FROM outbox
    WHERE sent_at >= to_timestamp(:since_ms::bigint / 1000.0) AND event_no > :after_no
    ORDER BY event_no
    LIMIT :chunk_max
    FOR UPDATE SKIP LOCKED
)
UPDATE outbox AS o SET sent_at = NULL, attempts = 0, send_at = (SELECT listening_now())
FROM found WHERE o.event_no = found.event_no
RETURNING o.event_no;
