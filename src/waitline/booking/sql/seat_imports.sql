-- name: read_plan(schedule_id)^
-- Read the seats of a schedule as operators see them, column by column, by seat id.
-- locks: nothing
-- returns: one row, or none if there is no such schedule: the concert's currency, the transaction that
--   laid out the seats, and a JSON array per column
SELECT s.concert_id, c.currency, s.laid_out, k.*
FROM schedule AS s JOIN concert AS c USING (concert_id) CROSS JOIN LATERAL (
    SELECT
        coalesce(json_agg(o.seat_id)::text, '[]') AS seat_ids,
        coalesce(json_agg(o.section)::text, '[]') AS sections,
        coalesce(json_agg(o.row_name)::text, '[]') AS row_names,
        coalesce(json_agg(o.row_no)::text, '[]') AS row_nos,
        coalesce(json_agg(o.row_position)::text, '[]') AS positions,
        coalesce(json_agg(coalesce(o.seat_no, o.seat_number))::text, '[]') AS numbers,
        coalesce(json_agg(o.seat_number)::text, '[]') AS labels,
        coalesce(json_agg(o.grade)::text, '[]') AS grades,
        coalesce(json_agg(o.price)::text, '[]') AS prices,
        coalesce(json_agg(o.state)::text, '[]') AS states
    FROM (SELECT * FROM seat WHERE schedule_id = :schedule_id ORDER BY seat_id) AS o
) AS k
WHERE s.schedule_id = :schedule_id;

-- name: change_seats(schedule_id, laid_out, currency, touched_ids, removed_ids, changed_ids, changed_sections, changed_rows, changed_numbers, changed_positions, changed_labels, changed_grades, changed_prices, row_ids, row_nos, sections, row_names, new_row_nos, positions, numbers, labels, grades, prices, who, what, before, after)^
-- Add, change and remove seats of a schedule, all or none, and log it. Seat ids follow the order given.
-- Only free seats are removed, and no seat that is reserved or sold is changed, but for the number of its
-- row (row_ids). Nobody can reserve a seat meanwhile, and a reservation has the price from before or after.
-- Not logged if who is null.
-- locks: schedule (one change at a time), concert (against a change), seat (skips locked ones, and then changes nothing)
-- returns: one row: outcome 'changed'; 'no_schedule', 'stale' (the seats are not those of laid_out),
--   'locked' (try again), 'booked' and 'held_back' (with the labels of the seats) otherwise
WITH found AS MATERIALIZED (
    SELECT s.schedule_id, s.concert_id, s.laid_out, c.currency
    FROM schedule AS s JOIN concert AS c USING (concert_id)
    WHERE s.schedule_id = :schedule_id
    FOR UPDATE OF s FOR SHARE OF c
),
locked AS MATERIALIZED (
    SELECT seat_id, seat_number, state FROM seat
    WHERE seat_id = ANY(:touched_ids::bigint[]) AND schedule_id = :schedule_id
    ORDER BY seat_id
    FOR UPDATE SKIP LOCKED
),
booked AS MATERIALIZED (
    SELECT seat_id, seat_number FROM locked
    WHERE state IN ('RESERVED', 'OCCUPIED')
        AND (seat_id = ANY(:removed_ids::bigint[]) OR seat_id = ANY(:changed_ids::bigint[]))
),
held_back AS MATERIALIZED (
    SELECT seat_id, seat_number FROM locked
    WHERE state NOT IN ('AVAILABLE', 'RESERVED', 'OCCUPIED') AND seat_id = ANY(:removed_ids::bigint[])
),
judged AS MATERIALIZED (
    SELECT CASE
        WHEN NOT EXISTS (SELECT FROM found) THEN 'no_schedule'
        WHEN EXISTS (SELECT FROM found WHERE laid_out <> :laid_out::xid8 OR currency <> :currency)
        THEN 'stale'
        WHEN (SELECT count(*) FROM locked) < cardinality(:touched_ids::bigint[]) THEN 'locked'
        WHEN EXISTS (SELECT FROM booked) THEN 'booked'
        WHEN EXISTS (SELECT FROM held_back) THEN 'held_back'
        ELSE 'changed'
    END AS outcome
),
ready AS MATERIALIZED (
    SELECT found.* FROM found CROSS JOIN judged WHERE judged.outcome = 'changed'
),
gone AS (
    DELETE FROM seat USING ready WHERE seat_id = ANY(:removed_ids::bigint[])
    RETURNING seat.*
),
remembered AS (
    INSERT INTO removed_seat (
        seat_id, schedule_id, section, row_name, seat_no, seat_number, grade, price
    )
    SELECT seat_id, schedule_id, section, row_name, coalesce(seat_no, seat_number), seat_number, grade,
        price
    FROM gone WHERE EXISTS (SELECT FROM reserved_seat AS h WHERE h.seat_id = gone.seat_id)
),
edits AS MATERIALIZED (
    SELECT i.seat_id, e.section, e.row_name, e.seat_no, e.row_position, e.seat_number, e.grade, e.price, r.row_no
    FROM (
        SELECT unnest(:changed_ids::bigint[]) AS seat_id UNION SELECT unnest(:row_ids::bigint[])
    ) AS i
    LEFT JOIN unnest(
        :changed_ids::bigint[], :changed_sections::text[], :changed_rows::text[],
        :changed_numbers::text[], :changed_positions::int[], :changed_labels::text[],
        :changed_grades::text[], :changed_prices::bigint[]
    ) AS e (seat_id, section, row_name, seat_no, row_position, seat_number, grade, price) USING (seat_id)
    LEFT JOIN unnest(:row_ids::bigint[], :row_nos::int[]) AS r (seat_id, row_no) USING (seat_id)
),
edited AS (
    UPDATE seat AS s
    SET section = coalesce(e.section, s.section),
        row_name = coalesce(e.row_name, s.row_name),
        row_position = coalesce(e.row_position, s.row_position),
        row_no = coalesce(e.row_no, s.row_no),
        -- A seat without a number has its label as number, and keeps it.
        seat_no = coalesce(e.seat_no, s.seat_no, s.seat_number),
        seat_number = coalesce(e.seat_number, s.seat_number),
        grade = coalesce(e.grade, s.grade),
        price = coalesce(e.price, s.price),
        changed = pg_current_xact_id()
    FROM ready CROSS JOIN edits AS e WHERE s.seat_id = e.seat_id
),
added AS (
    INSERT INTO seat (
        schedule_id, section, row_name, row_no, row_position, seat_no, seat_number, grade, price
    )
    SELECT ready.schedule_id, g.section, g.row_name, g.row_no, g.row_position, g.seat_no, g.seat_number,
        g.grade, g.price
    FROM ready CROSS JOIN unnest(
        :sections::text[], :row_names::text[], :new_row_nos::int[], :positions::int[],
        :numbers::text[], :labels::text[], :grades::text[], :prices::bigint[]
    ) WITH ORDINALITY AS g (
        section, row_name, row_no, row_position, seat_no, seat_number, grade, price, nth
    )
    ORDER BY g.nth
),
marked AS (
    UPDATE schedule AS s SET laid_out = pg_current_xact_id(), version = s.version + 1
    FROM ready WHERE s.schedule_id = ready.schedule_id
),
logged AS (
    INSERT INTO catalogue_change (who, what, concert_id, schedule_id, before, after)
    SELECT :who, :what, ready.concert_id, ready.schedule_id, :before::text::jsonb, :after::text::jsonb
    FROM ready WHERE :who::text IS NOT NULL
)
SELECT judged.outcome,
    ARRAY(SELECT seat_number FROM booked ORDER BY seat_id LIMIT 20) AS booked,
    ARRAY(SELECT seat_number FROM held_back ORDER BY seat_id LIMIT 20) AS held_back
FROM judged;
