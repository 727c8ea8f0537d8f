-- Lock the reservation of a charge, and then its attempt to pay.
found AS MATERIALIZED (
    SELECT r.reservation_id FROM reservation AS r
    WHERE r.reservation_id
        = (SELECT p.reservation_id FROM payment AS p WHERE p.charge_key = :charge_key)
    FOR UPDATE SKIP LOCKED
),
attempt AS MATERIALIZED (
    SELECT p.payment_id, p.state FROM found JOIN payment AS p USING (reservation_id)
    WHERE p.charge_key = :charge_key
    FOR UPDATE OF p SKIP LOCKED
),
