-- Take seats that are freed from the reservations that are ready to end, and from the counts of their holders.
ended AS (
    UPDATE reserved_seat AS h SET live = false
    FROM held JOIN ready USING (reservation_id)
    WHERE h.reservation_id = held.reservation_id AND h.seat_id = held.seat_id
),
counted AS (
    UPDATE visitor_seats AS v SET seats = v.seats - n.seats
    FROM (
        SELECT ready.schedule_id, ready.user_id, ready.holder, count(freed.seat_id) AS seats
        FROM ready JOIN held USING (reservation_id) JOIN freed USING (seat_id)
        GROUP BY ready.schedule_id, ready.user_id, ready.holder
    ) AS n WHERE v.schedule_id = n.schedule_id AND v.user_id = n.user_id AND v.holder = n.holder
),
