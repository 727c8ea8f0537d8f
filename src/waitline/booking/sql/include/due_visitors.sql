-- Lock the seat counts of the holders of reservations that are due to end.
visitors AS MATERIALIZED (
    SELECT v.schedule_id, v.user_id, v.holder
    FROM (SELECT DISTINCT schedule_id, user_id, holder FROM due) AS d CROSS JOIN LATERAL (
        SELECT * FROM visitor_seats AS v
        WHERE v.schedule_id = d.schedule_id AND v.user_id = d.user_id AND v.holder = d.holder
        LIMIT 1 FOR UPDATE SKIP LOCKED
    ) AS v
),
