-- name: installation()^
-- Read the mode of the data, and whether buyers pay with play money.
-- locks: nothing
-- returns: one row, or none if no mode was written
SELECT mode, play_money FROM installation;

-- name: installation_contents()^
-- Count the data that indicates one mode or the other. Rehearsals indicate neither.
-- locks: nothing
-- returns: one row: concerts of operators, demo concerts, concerts of rehearsals, bookings that are held
--   or sold, payments that are in progress, made or being refunded, bookings that are over, complimentary
--   tickets, seats that are held back, and schedules that are cancelled or postponed
SELECT
    (SELECT count(*) FROM concert WHERE origin = 'operator') AS concerts,
    (SELECT count(*) FROM concert WHERE origin = 'demo') AS demos,
    (SELECT count(*) FROM concert WHERE origin = 'rehearsal') AS rehearsals,
    (
        SELECT count(*) FROM reservation AS r
        LEFT JOIN schedule USING (schedule_id) LEFT JOIN concert AS c USING (concert_id)
        WHERE r.state IN ('PENDING', 'CONFIRMED') AND c.origin IS DISTINCT FROM 'rehearsal'
            AND r.holder <> 'operator'
    ) AS bookings,
    (
        SELECT count(*) FROM payment AS p
        JOIN reservation USING (reservation_id)
        LEFT JOIN schedule USING (schedule_id) LEFT JOIN concert AS c USING (concert_id)
        WHERE p.state IN ('PENDING', 'COMPLETED', 'REFUNDING') AND p.amount > 0
            AND c.origin IS DISTINCT FROM 'rehearsal'
    ) AS payments,
    (
        SELECT count(*) FROM reservation AS r
        LEFT JOIN schedule USING (schedule_id) LEFT JOIN concert AS c USING (concert_id)
        WHERE r.state NOT IN ('PENDING', 'CONFIRMED') AND c.origin IS DISTINCT FROM 'rehearsal'
    ) AS past,
    (
        SELECT count(*) FROM reservation AS r JOIN reserved_seat AS h USING (reservation_id)
        JOIN schedule USING (schedule_id) JOIN concert AS c USING (concert_id)
        WHERE r.holder = 'operator' AND r.state = 'CONFIRMED' AND h.live AND c.origin = 'operator'
    ) AS given,
    (
        SELECT count(*) FROM held_seat JOIN seat AS o USING (seat_id)
        JOIN schedule USING (schedule_id) JOIN concert AS c USING (concert_id)
        WHERE c.origin = 'operator'
    ) AS held,
    (
        SELECT count(*) FROM schedule AS s JOIN concert AS c USING (concert_id)
        WHERE s.sale_state <> 'ON_SALE' AND c.origin = 'operator'
    ) AS stopped;

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

-- name: end_trial()
-- Set the mode to production, and delete the trial data: the bookings of visitors, with their
-- payments, events, idempotency keys and cool-downs, the demo concert, and the concerts of
-- rehearsals. What operators made stays: their concerts, the seats that they hold back, the
-- complimentary tickets that they gave. All other seats of their concerts are on sale.
-- locks: the tables of bookings, whole; concert, schedule, seat
-- returns: nothing
DO $$
BEGIN
    -- Copied out and back: deleting millions of rows around them would take minutes.
    CREATE TEMPORARY TABLE given ON COMMIT DROP AS
        SELECT r.* FROM reservation AS r JOIN reservation_note AS n USING (reservation_id)
        JOIN schedule USING (schedule_id) JOIN concert AS c USING (concert_id)
        WHERE r.holder = 'operator' AND r.state = 'CONFIRMED' AND n.ticket_name IS NOT NULL
            AND c.origin = 'operator';
    CREATE TEMPORARY TABLE given_note ON COMMIT DROP AS
        SELECT n.* FROM reservation_note AS n JOIN given USING (reservation_id);
    CREATE TEMPORARY TABLE given_seat ON COMMIT DROP AS
        SELECT h.* FROM reserved_seat AS h JOIN given USING (reservation_id);
    CREATE TEMPORARY TABLE given_payment ON COMMIT DROP AS
        SELECT p.* FROM payment AS p JOIN given USING (reservation_id);
    CREATE TEMPORARY TABLE given_evidence ON COMMIT DROP AS
        SELECT e.* FROM evidence AS e JOIN given USING (reservation_id);
    -- CASCADE: every other row that refers to a booking is deleted with it.
    TRUNCATE reservation, reserved_seat, visitor_seats, payment, outbox, idempotency, cooldown, evidence
        CASCADE;
    INSERT INTO reservation SELECT * FROM given;
    INSERT INTO reservation_note SELECT * FROM given_note;
    INSERT INTO reserved_seat SELECT * FROM given_seat;
    INSERT INTO payment SELECT * FROM given_payment;
    INSERT INTO evidence OVERRIDING SYSTEM VALUE SELECT * FROM given_evidence;
    INSERT INTO visitor_seats (schedule_id, user_id, holder, seats)
        SELECT given.schedule_id, given.user_id, given.holder, count(*)
        FROM given JOIN given_seat AS h USING (reservation_id) WHERE h.live
        GROUP BY given.schedule_id, given.user_id, given.holder;
    DELETE FROM seat AS o USING schedule AS s, concert AS c
    WHERE o.schedule_id = s.schedule_id AND s.concert_id = c.concert_id AND c.origin <> 'operator';
    DELETE FROM schedule AS s USING concert AS c
    WHERE s.concert_id = c.concert_id AND c.origin <> 'operator';
    DELETE FROM concert WHERE origin <> 'operator';
    UPDATE seat SET changed = pg_current_xact_id(), state = CASE
        WHEN EXISTS (SELECT FROM held_seat AS b WHERE b.seat_id = seat.seat_id) THEN 'HELD'
        ELSE 'AVAILABLE'
    END
    WHERE state IN ('RESERVED', 'OCCUPIED')
        AND seat_id NOT IN (SELECT h.seat_id FROM given_seat AS h WHERE h.live);
    -- Marks the layout as new, so that workers load the seats again.
    UPDATE schedule SET laid_out = pg_current_xact_id();
    INSERT INTO installation (mode, play_money) VALUES ('production', NULL)
    ON CONFLICT (the_row) DO UPDATE
    SET mode = excluded.mode, play_money = excluded.play_money, changed_at = now();
END
$$;
