-- Limits per concert can be set, and complimentary tickets count toward no buyer's limit.

-- As before, but without what operators gave away.
CREATE OR REPLACE FUNCTION seats_in_use(
    of_schedule bigint, OUT seats bigint, OUT booked bigint, OUT most bigint
) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    SELECT count(*), count(*) FILTER (WHERE s.state IN ('RESERVED', 'OCCUPIED')) INTO seats, booked
    FROM seat AS s WHERE s.schedule_id = of_schedule;
    SELECT coalesce(max(v.seats), 0) INTO most FROM visitor_seats AS v
    WHERE v.schedule_id = of_schedule AND v.holder <> 'operator';
END $$;

-- The most seats that one buyer has in all schedules of a concert. Volatile, for the same reason.
CREATE FUNCTION most_in_concert(of_concert bigint) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN (
        SELECT coalesce(max(h.seats), 0) FROM (
            SELECT sum(v.seats) AS seats FROM schedule AS s JOIN visitor_seats AS v USING (schedule_id)
            WHERE s.concert_id = of_concert AND v.holder <> 'operator'
            GROUP BY v.user_id, v.holder
        ) AS h
    );
END $$;
