-- Cancel reservations that are ready to end, which may be paid for: free their seats (held), and let
-- their payments be refunded (refundable). Seats that are held back are so again.
freed AS (
    UPDATE seat SET state = CASE
            WHEN (SELECT true FROM held_seat AS b WHERE b.seat_id = seat.seat_id) THEN 'HELD'
            ELSE 'AVAILABLE'
        END,
        changed = pg_current_xact_id()
    FROM held JOIN ready USING (reservation_id) WHERE seat.seat_id = held.seat_id
    RETURNING seat.seat_id
),
closed AS (
    UPDATE reservation AS r
    SET state = 'CANCELLED', paying_until = NULL,
        expires_at = CASE WHEN r.state = 'PENDING' THEN database_time(r.expires_at) ELSE r.expires_at END
    FROM ready WHERE r.reservation_id = ready.reservation_id
),
refunding AS (
    UPDATE payment AS p SET state = 'REFUNDING', look_at = (SELECT listening_now()), looks = 0,
        refund_due_at = now()
    FROM ready JOIN refundable USING (reservation_id) WHERE p.payment_id = refundable.payment_id
    RETURNING p.payment_id
),
