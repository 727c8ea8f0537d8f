-- name: sale_totals(room)^
-- Sum up the sale of a room's concerts. Reads all their seats and reservations, so it is for use
-- after a sale.
-- locks: nothing
-- returns: one row; taken and given_back have one amount per currency of currencies; first_at and
--   last_at are null where nothing was reserved
WITH performances AS (
    SELECT s.schedule_id FROM schedule AS s JOIN concert AS c USING (concert_id)
    WHERE c.room = :room
),
kept AS (
    SELECT r.reservation_id, r.state, r.amount, r.created_at, r.expires_at, r.user_id, r.holder,
        n.ticket_name IS NOT NULL AS complimentary
    FROM reservation AS r JOIN performances USING (schedule_id)
    LEFT JOIN reservation_note AS n USING (reservation_id)
),
money AS (
    SELECT p.state, coalesce(p.charged, p.amount) AS amount,
        coalesce(p.charged_currency, p.currency) AS currency, p.created_at, p.paid_at
    FROM payment AS p JOIN kept USING (reservation_id)
    WHERE NOT kept.complimentary
),
stock AS (
    SELECT count(*) AS seats, count(*) FILTER (WHERE o.state = 'OCCUPIED') AS sold,
        count(*) FILTER (WHERE o.state = 'RESERVED') AS held,
        count(*) FILTER (WHERE o.state = 'HELD') AS held_back
    FROM seat AS o JOIN performances USING (schedule_id)
),
holds AS (
    SELECT count(*) AS reservations,
        count(*) FILTER (WHERE state = 'PENDING') AS pending,
        count(*) FILTER (WHERE state = 'CONFIRMED') AS confirmed,
        count(DISTINCT (user_id, holder)) FILTER (
            WHERE state = 'CONFIRMED' AND NOT complimentary
        ) AS buyers,
        count(*) FILTER (
            WHERE state = 'CONFIRMED' AND NOT complimentary AND amount = 0
        ) AS free,
        count(*) FILTER (WHERE state = 'EXPIRED') AS expired,
        count(*) FILTER (WHERE state = 'CANCELLED') AS cancelled,
        min(created_at) AS first_at,
        greatest(max(created_at), max(expires_at) FILTER (WHERE state = 'EXPIRED')) AS last_at
    FROM kept
),
gifts AS (
    SELECT count(*) AS complimentary
    FROM reserved_seat JOIN kept USING (reservation_id)
    WHERE kept.complimentary AND kept.state = 'CONFIRMED'
),
paid AS (
    SELECT count(*) AS payments,
        count(*) FILTER (WHERE state = 'FAILED') AS declined,
        count(*) FILTER (WHERE state = 'REFUNDED') AS refunded,
        count(*) FILTER (WHERE state = 'REFUNDING') AS refunding,
        percentile_disc(0.95) WITHIN GROUP (
            ORDER BY extract(epoch FROM paid_at - created_at)
        ) FILTER (WHERE paid_at IS NOT NULL)::float8 AS paying_p95_s,
        max(paid_at) AS last_at
    FROM money
),
amounts AS (
    SELECT currency,
        coalesce(sum(amount) FILTER (WHERE state = 'COMPLETED'), 0)::bigint AS taken,
        coalesce(sum(amount) FILTER (WHERE state = 'REFUNDED'), 0)::bigint AS given_back
    FROM money WHERE state IN ('COMPLETED', 'REFUNDED')
    GROUP BY currency
),
by_currency AS (
    SELECT coalesce(array_agg(currency ORDER BY currency), '{}') AS currencies,
        coalesce(array_agg(taken ORDER BY currency), '{}') AS taken,
        coalesce(array_agg(given_back ORDER BY currency), '{}') AS given_back
    FROM amounts
)
SELECT
    (SELECT count(*) FROM concert WHERE room = :room) AS concerts,
    stock.seats, stock.sold, stock.held, stock.held_back, gifts.complimentary,
    holds.reservations, holds.pending, holds.confirmed, holds.buyers, holds.free,
    holds.expired, holds.cancelled,
    paid.payments, paid.declined, paid.refunded, paid.refunding,
    by_currency.currencies, by_currency.taken, by_currency.given_back, paid.paying_p95_s,
    holds.first_at, greatest(holds.last_at, paid.last_at) AS last_at
FROM stock, gifts, holds, paid, by_currency;

-- name: sale_steps(room, width_s, steps_max)
-- Count a room's reservations, payments and expiries by steps of time. Refunds have no time of their
-- own; a refunded payment counts at the time of payment.
-- locks: nothing
-- returns: one row per step in which something happened, at most steps_max, in order of time
WITH kept AS (
    SELECT r.reservation_id, r.state, r.created_at, r.expires_at
    FROM reservation AS r
    JOIN schedule AS s USING (schedule_id)
    JOIN concert AS c USING (concert_id)
    WHERE c.room = :room
),
happened AS (
    SELECT created_at AS at, 'reserved' AS kind FROM kept
    UNION ALL
    SELECT expires_at, 'expired' FROM kept WHERE state = 'EXPIRED'
    UNION ALL
    SELECT p.paid_at, 'paid' FROM payment AS p JOIN kept USING (reservation_id)
    WHERE p.paid_at IS NOT NULL
)
SELECT (floor(extract(epoch FROM at) / :width_s) * :width_s)::float8 AS at_s,
    count(*) FILTER (WHERE kind = 'reserved') AS reserved,
    count(*) FILTER (WHERE kind = 'paid') AS paid,
    count(*) FILTER (WHERE kind = 'expired') AS expired
FROM happened
GROUP BY at_s
ORDER BY at_s
LIMIT :steps_max;
