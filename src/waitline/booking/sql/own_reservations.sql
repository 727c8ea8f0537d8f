-- name: reservation_rooms(user_id, rooms_max)
-- List the waiting rooms of the concerts for which a user has reservations, the latest used first. The
-- user's name proves nothing: each room is compared with the token before anything of it is shown (B8).
-- locks: nothing
-- returns: one row per room, at most rooms_max
SELECT c.room
FROM reservation AS r JOIN schedule AS s USING (schedule_id) JOIN concert AS c USING (concert_id)
WHERE r.user_id = :user_id
GROUP BY c.room
ORDER BY max(r.created_at) DESC, c.room
LIMIT :rooms_max;

-- name: own_reservations(user_id, rooms, holders, rows_max)
-- List a user's reservations, held and paid, as one holder in each of some rooms, newest first. A
-- reservation that has ended without a charge is left out.
-- locks: nothing
-- returns: one row per reservation, at most rows_max, with its performance, its seats (those that were
--   removed since, too) and the payment that was made for it
WITH mine AS MATERIALIZED (
    SELECT r.reservation_id, r.schedule_id, r.user_id, r.holder, r.state, r.amount, r.created_at,
        CASE
            WHEN r.state = 'PENDING' THEN database_time(r.expires_at) ELSE r.expires_at
        END AS expires_at,
        c.concert_id, c.title, c.venue, c.room, c.currency, s.starts_at, s.starts_offset_min,
        p.payment_id, p.state AS payment_state, p.paid_at
    FROM reservation AS r JOIN schedule AS s USING (schedule_id) JOIN concert AS c USING (concert_id)
    LEFT JOIN LATERAL (
        SELECT * FROM payment AS p
        WHERE p.reservation_id = r.reservation_id
            AND p.state IN ('COMPLETED', 'REFUNDING', 'REFUNDED')
        ORDER BY p.created_at DESC
        LIMIT 1
    ) AS p ON true
    WHERE r.user_id = :user_id
        AND (c.room, r.holder) IN (
            SELECT room, holder FROM unnest(:rooms::text[], :holders::text[]) AS proven (room, holder)
        )
        AND (
            r.state = 'CONFIRMED' OR p.payment_id IS NOT NULL OR (
                r.state = 'PENDING' AND greatest(r.expires_at, r.paying_until) > (SELECT listening_now())
            )
        )
    ORDER BY r.created_at DESC, r.reservation_id
    LIMIT :rows_max
)
SELECT mine.*, seats.ids, seats.numbers, seats.sections, seats.rows, seats.grades, seats.prices
FROM mine CROSS JOIN LATERAL (
    SELECT array_agg(h.seat_id ORDER BY h.seat_id) AS ids,
        array_agg(coalesce(s.seat_number, g.seat_number) ORDER BY h.seat_id) AS numbers,
        array_agg(coalesce(s.section, g.section) ORDER BY h.seat_id) AS sections,
        array_agg(coalesce(s.row_name, g.row_name) ORDER BY h.seat_id) AS rows,
        array_agg(coalesce(s.grade, g.grade) ORDER BY h.seat_id) AS grades,
        array_agg(h.price ORDER BY h.seat_id) AS prices
    FROM reserved_seat AS h
    LEFT JOIN LATERAL (SELECT * FROM seat AS s WHERE s.seat_id = h.seat_id LIMIT 1) AS s ON true
    LEFT JOIN LATERAL (
        SELECT * FROM removed_seat AS g WHERE g.seat_id = h.seat_id LIMIT 1
    ) AS g ON true
    WHERE h.reservation_id = mine.reservation_id
) AS seats
ORDER BY mine.created_at DESC, mine.reservation_id;
