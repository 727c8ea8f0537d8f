-- name: backlog(counted_max)^
-- Count unsent events and unsettled payments, at most counted_max of each.
-- locks: nothing
-- returns: one row: unsent events and the age of the oldest, dead events, payments in progress, refunds
--   in progress, the age of the oldest of these payments, and payments that need an operator's attention
SELECT e.waiting AS events_waiting, e.dead AS events_dead,
    coalesce(extract(epoch FROM now() - e.oldest), 0)::float8 AS events_age_s,
    p.pending AS payments_pending, p.refunding AS payments_refunding,
    coalesce(extract(epoch FROM now() - p.oldest), 0)::float8 AS payments_age_s,
    (
        SELECT count(*) FROM (
            SELECT FROM payment
            WHERE flag IS NOT NULL AND NOT acknowledged
                AND flag NOT IN ('authentication', 'dispute_won', 'refund_pending')
            LIMIT :counted_max
        ) AS f
    ) AS payments_attention
FROM (
    SELECT count(*) FILTER (WHERE NOT o.dead) AS waiting, count(*) FILTER (WHERE o.dead) AS dead,
        min(o.created_at) FILTER (WHERE NOT o.dead) AS oldest
    FROM (
        SELECT dead, created_at FROM outbox WHERE sent_at IS NULL LIMIT :counted_max
    ) AS o
) AS e CROSS JOIN (
    SELECT count(*) FILTER (WHERE q.state = 'PENDING') AS pending,
        count(*) FILTER (WHERE q.state = 'REFUNDING') AS refunding, min(q.created_at) AS oldest
    FROM (
        SELECT state, created_at FROM payment
        WHERE state IN ('PENDING', 'REFUNDING') ORDER BY look_at LIMIT :counted_max
    ) AS q
) AS p;
