        -- A log entry counts the seats and names some.
        'count', (SELECT count(*) FROM locked),
        'seats', (
            SELECT jsonb_agg(n.seat_number) FROM (
                SELECT seat_number FROM locked ORDER BY seat_id LIMIT 20
            ) AS n
        )
