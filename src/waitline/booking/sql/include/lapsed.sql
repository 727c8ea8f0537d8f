    -- Reservations whose time is over, after the last one of the chunk before.
    WHERE state = 'PENDING' AND expires_at <= (SELECT listening_now())
        AND (paying_until IS NULL OR paying_until <= (SELECT listening_now()))
        AND (:after_at::timestamptz IS NULL
            OR (expires_at, reservation_id) > (:after_at::timestamptz, :after_id::bigint))
