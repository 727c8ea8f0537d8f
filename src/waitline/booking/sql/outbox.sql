-- name: take_events(batch_max, pause_s, pause_max_s)
-- Take unsent events, of each reservation the earliest alone, and put off the next attempt at each:
-- twice as long at every attempt. If the relay dies, the event is taken again
-- by then; and until it is marked as sent, no later event of its reservation is taken (B5).
-- Events that another relay has locked are skipped.
-- locks: outbox (skips locked ones)
-- returns: one row per event
WITH due AS MATERIALIZED (
    SELECT o.event_no FROM outbox AS o
    WHERE o.sent_at IS NULL AND NOT o.dead AND o.send_at <= now()
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
    send_at = now() + make_interval(secs => least(:pause_s * 2 ^ least(o.attempts, 30), :pause_max_s))
FROM due WHERE o.event_no = due.event_no
RETURNING o.event_no, o.event_id, o.topic, o.payload, o.created_at,
    greatest(floor(extract(epoch FROM now() - o.created_at) * 1000), 0)::bigint AS age_ms;

-- name: sent_events(event_nos)
-- Note that events are in the stream.
-- locks: outbox
-- returns: one row per event that was not noted before
UPDATE outbox SET sent_at = now(), last_error = NULL
WHERE event_no = ANY(:event_nos::bigint[]) AND sent_at IS NULL
RETURNING event_no;

-- name: return_events(event_nos, error)
-- Give back events that the stream could not take, whatever they are: that attempt does not count.
-- locks: outbox
-- returns: one row per event
UPDATE outbox SET attempts = attempts - 1, send_at = now(), last_error = left(:error, 500)
WHERE event_no = ANY(:event_nos::bigint[]) AND sent_at IS NULL AND attempts > 0
RETURNING event_no;

-- name: refused_event(event_no, error, attempts_max)^
-- Note why the stream does not take an event; after the last attempt it is dead, until an operator
-- says otherwise.
-- locks: outbox
-- returns: one row, whether it is dead
UPDATE outbox SET last_error = left(:error, 500), dead = attempts >= :attempts_max
WHERE event_no = :event_no AND sent_at IS NULL
RETURNING dead;

-- name: forget_events(kept_s, chunk_max)
-- Delete a chunk of the events that were sent long ago.
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
-- List the events that are not in the stream yet, dead ones first.
-- locks: nothing
-- returns: one row per event, with the number of all of them
SELECT event_id, topic, payload, created_at, attempts, dead, last_error, count(*) OVER () AS events
FROM outbox WHERE sent_at IS NULL
ORDER BY dead DESC, event_no
LIMIT :rows_max;

-- name: retry_events(event_ids, chunk_max)
-- Let dead events be sent after all: those named, or all.
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
UPDATE outbox AS o SET dead = false, attempts = 0, send_at = now()
FROM chosen WHERE o.event_no = chosen.event_no
RETURNING o.event_id;
