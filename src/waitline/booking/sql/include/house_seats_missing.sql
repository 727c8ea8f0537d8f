        WHEN cardinality(:seat_ids::bigint[]) > (
            SELECT count(*) FROM seat AS o
            WHERE o.seat_id = ANY(:seat_ids::bigint[]) AND o.schedule_id = :schedule_id
        ) THEN 'no_seat'
        WHEN cardinality(:seat_ids::bigint[]) > (SELECT count(*) FROM locked) THEN 'locked'
