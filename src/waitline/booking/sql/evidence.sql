-- name: booking_evidence(reservation_id)^
-- Read one reservation as the evidence log begins with it: its owner, and how it was made.
-- locks: nothing
-- returns: one row, or none
SELECT r.reservation_id, r.user_id, r.holder, r.state, r.amount, r.created_at, r.made_by, r.schedule_id,
    CASE WHEN r.state = 'PENDING' THEN database_time(r.expires_at) ELSE r.expires_at END AS expires_at,
    c.concert_id, c.title, c.room, c.currency, s.starts_at, s.starts_offset_min, n.ticket_name,
    ARRAY(
        SELECT coalesce(o.seat_number, g.seat_number) FROM reserved_seat AS h
        LEFT JOIN seat AS o USING (seat_id) LEFT JOIN removed_seat AS g USING (seat_id)
        WHERE h.reservation_id = r.reservation_id ORDER BY h.seat_id
    ) AS seat_numbers
FROM reservation AS r JOIN schedule AS s USING (schedule_id) JOIN concert AS c USING (concert_id)
LEFT JOIN reservation_note AS n USING (reservation_id)
WHERE r.reservation_id = :reservation_id;

-- name: payment_evidence(reservation_id, rows_max)
-- List the attempts to pay a reservation, the oldest first.
-- locks: nothing
-- returns: one row per attempt, at most rows_max
SELECT payment_id, charge_key, provider_ref, method, amount, currency, charged, charged_currency,
    refunded, state, flag, reason, created_at, paid_at, settled_by, too_late
FROM payment WHERE reservation_id = :reservation_id
ORDER BY created_at, payment_id
LIMIT :rows_max;

-- name: evidence_entries(reservation_id, rows_max)
-- List the entries of a reservation's evidence log, the oldest first.
-- locks: nothing
-- returns: one row per entry, at most rows_max
SELECT at, what, who, payment_id, detail FROM evidence
WHERE reservation_id = :reservation_id
ORDER BY entry_no
LIMIT :rows_max;

-- name: forget_evidence(kept_s, chunk_max)^
-- Delete a chunk of the entries of the evidence log that are older than kept_s, and clear the token
-- that made reservations of that age. Numbers ascend with time, except for entries of the same
-- moment.
-- locks: evidence, reservation (skips locked ones)
-- returns: one row: how many entries and reservations
WITH oldest AS MATERIALIZED (
    SELECT e.entry_no, e.at FROM evidence AS e
    ORDER BY e.entry_no
    LIMIT :chunk_max
    FOR UPDATE SKIP LOCKED
),
gone AS (
    DELETE FROM evidence AS e USING oldest
    WHERE e.entry_no = oldest.entry_no AND oldest.at <= now() - make_interval(secs => :kept_s)
    RETURNING e.entry_no
),
old AS MATERIALIZED (
    SELECT r.reservation_id FROM reservation AS r
    WHERE r.made_by IS NOT NULL AND r.created_at <= now() - make_interval(secs => :kept_s)
    ORDER BY r.created_at
    LIMIT :chunk_max
    FOR UPDATE SKIP LOCKED
),
forgotten AS (
    UPDATE reservation AS r SET made_by = NULL FROM old WHERE r.reservation_id = old.reservation_id
    RETURNING r.reservation_id
)
SELECT (SELECT count(*) FROM gone) AS entries, (SELECT count(*) FROM forgotten) AS reservations;
