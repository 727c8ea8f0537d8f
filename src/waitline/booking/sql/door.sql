-- name: door_list(schedule_id)
-- List the tickets of a schedule: the seats of its confirmed reservations.
-- locks: nothing
-- returns: one row per seat, by section, row and position
SELECT s.schedule_id, s.seat_id, s.section, s.row_name, coalesce(s.seat_no, s.seat_number) AS seat_no,
    s.seat_number, s.grade, r.reservation_id, r.user_id, r.created_at, n.ticket_name
FROM seat AS s
JOIN reserved_seat AS h ON h.seat_id = s.seat_id AND h.live
JOIN reservation AS r ON r.reservation_id = h.reservation_id AND r.state = 'CONFIRMED'
LEFT JOIN reservation_note AS n ON n.reservation_id = r.reservation_id
WHERE s.schedule_id = :schedule_id
ORDER BY s.section, s.row_no, s.row_name, s.row_position, s.seat_id;

-- name: tickets(reservation_id)
-- List the tickets of one reservation: none before it is confirmed, or when it is over.
-- locks: nothing
-- returns: as door_list
SELECT s.schedule_id, s.seat_id, s.section, s.row_name, coalesce(s.seat_no, s.seat_number) AS seat_no,
    s.seat_number, s.grade, r.reservation_id, r.user_id, r.created_at, n.ticket_name
FROM reservation AS r
JOIN reserved_seat AS h ON h.reservation_id = r.reservation_id AND h.live
JOIN seat AS s ON s.seat_id = h.seat_id
LEFT JOIN reservation_note AS n ON n.reservation_id = r.reservation_id
WHERE r.reservation_id = :reservation_id AND r.state = 'CONFIRMED'
ORDER BY s.section, s.row_no, s.row_name, s.row_position, s.seat_id;

-- name: door_of(schedule_id)^
-- Read what the head of a door list says.
-- locks: nothing
-- returns: one row, or none if there is no such schedule
SELECT c.title, c.venue, s.starts_at, s.starts_offset_min, s.sale_state, now() AS listed_at
FROM schedule AS s JOIN concert AS c USING (concert_id)
WHERE s.schedule_id = :schedule_id;
