-- Lock the seats that an operator names.
locked AS MATERIALIZED (
    SELECT seat_id, seat_number, state FROM seat
    WHERE seat_id = ANY(:seat_ids::bigint[]) AND schedule_id = :schedule_id
    ORDER BY seat_id
    FOR UPDATE SKIP LOCKED
),
