-- name: installation()^
-- Read the mode of the data, and whether buyers pay with play money.
-- locks: nothing
-- returns: one row, or none if no mode was written
SELECT mode, play_money FROM installation;

-- name: installation_contents()^
-- Count what speaks for one mode or the other. Rehearsals speak for none.
-- locks: nothing
-- returns: one row: concerts of operators, demo concerts, concerts of rehearsals, bookings that are held
--   or sold, payments that are under way, made or being refunded
SELECT
    (SELECT count(*) FROM concert WHERE origin = 'operator') AS concerts,
    (SELECT count(*) FROM concert WHERE origin = 'demo') AS demos,
    (SELECT count(*) FROM concert WHERE origin = 'rehearsal') AS rehearsals,
    (
        SELECT count(*) FROM reservation AS r
        LEFT JOIN schedule USING (schedule_id) LEFT JOIN concert AS c USING (concert_id)
        WHERE r.state IN ('PENDING', 'CONFIRMED') AND c.origin IS DISTINCT FROM 'rehearsal'
    ) AS bookings,
    (
        SELECT count(*) FROM payment AS p
        JOIN reservation USING (reservation_id)
        LEFT JOIN schedule USING (schedule_id) LEFT JOIN concert AS c USING (concert_id)
        WHERE p.state IN ('PENDING', 'COMPLETED', 'REFUNDING') AND p.amount > 0
            AND c.origin IS DISTINCT FROM 'rehearsal'
    ) AS payments;

-- name: lately_served(served_s)^
-- Check whether a booking service is running: its workers beat every second.
-- locks: nothing
-- returns: one row
SELECT EXISTS (
    SELECT FROM listening WHERE beat_at > now() - make_interval(secs => :served_s)
) AS served;

-- name: claim_mode(mode)^
-- Write the mode of the data if there is none.
-- locks: installation
-- returns: one row: the mode that holds now; none if another transaction has just written one
WITH claimed AS (
    INSERT INTO installation (mode) VALUES (:mode) ON CONFLICT DO NOTHING RETURNING mode
)
SELECT mode FROM claimed UNION ALL SELECT mode FROM installation LIMIT 1;

-- name: change_mode(mode)^
-- Set the mode of the data; nothing else changes.
-- locks: installation
-- returns: one row
INSERT INTO installation (mode) VALUES (:mode)
ON CONFLICT (the_row) DO UPDATE SET mode = excluded.mode, changed_at = now()
RETURNING mode;

-- name: choose_money(play_money)^
-- Record whether buyers pay with play money.
-- locks: installation
-- returns: one row, or none if the data has no mode yet
UPDATE installation SET play_money = :play_money
WHERE play_money IS DISTINCT FROM :play_money
RETURNING play_money;

-- name: end_trial()^
-- Set the mode to production, and delete what was tried: all bookings, with their payments, events and
-- idempotency keys, the demo concert, and the concerts of rehearsals. Operators' concerts stay, and all
-- their seats are on sale.
-- locks: the tables of bookings, whole; concert, schedule, seat
-- returns: nothing
DO $$
BEGIN
    -- CASCADE: whatever refers to a booking is about one that is deleted.
    TRUNCATE reservation, reserved_seat, visitor_seats, payment, outbox, idempotency, evidence CASCADE;
    DELETE FROM seat AS o USING schedule AS s, concert AS c
    WHERE o.schedule_id = s.schedule_id AND s.concert_id = c.concert_id AND c.origin <> 'operator';
    DELETE FROM schedule AS s USING concert AS c
    WHERE s.concert_id = c.concert_id AND c.origin <> 'operator';
    DELETE FROM concert WHERE origin <> 'operator';
    UPDATE seat SET state = 'AVAILABLE', changed = pg_current_xact_id()
    WHERE state IN ('RESERVED', 'OCCUPIED');
    -- Marks the layout as new, so that workers load the seats again.
    UPDATE schedule SET laid_out = pg_current_xact_id();
    INSERT INTO installation (mode, play_money) VALUES ('production', NULL)
    ON CONFLICT (the_row) DO UPDATE
    SET mode = excluded.mode, play_money = excluded.play_money, changed_at = now();
END
$$;
