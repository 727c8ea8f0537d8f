-- name: laid_out_seats(schedule_id)^
-- Read where each seat of a schedule is: section, row and position, column by column.
-- locks: nothing
-- returns: one row, or none if there is no such schedule: a JSON array per column, row by row
SELECT
    coalesce(json_agg(o.seat_id)::text, '[]') AS seat_ids,
    coalesce(json_agg(o.section)::text, '[]') AS sections,
    coalesce(json_agg(o.row_name)::text, '[]') AS row_names,
    coalesce(json_agg(o.row_position)::text, '[]') AS positions,
    coalesce(json_agg(o.seat_number)::text, '[]') AS numbers,
    coalesce(json_agg(o.grade)::text, '[]') AS grades,
    coalesce(json_agg(o.price)::text, '[]') AS prices
FROM (
    SELECT
        t.*,
        min(t.seat_id) OVER (PARTITION BY t.section) AS section_first,
        min(t.seat_id) OVER (PARTITION BY t.section, t.row_name) AS row_first
    FROM seat AS t
    WHERE t.schedule_id = :schedule_id
    ORDER BY section_first, t.row_no, row_first, t.row_position, t.seat_id
) AS o
HAVING EXISTS (SELECT FROM schedule AS s WHERE s.schedule_id = :schedule_id);
