-- Lock the seats of reservations that are due to end.
held AS MATERIALIZED (
    SELECT s.seat_id, h.reservation_id
    FROM due JOIN reserved_seat AS h USING (reservation_id) JOIN seat AS s USING (seat_id)
    WHERE h.live
    ORDER BY s.seat_id
    FOR UPDATE OF s SKIP LOCKED
),
