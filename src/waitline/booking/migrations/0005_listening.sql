-- The listening clock: the database's, less the time in which no worker listened. At most one row; none
-- until a worker beats, and then nothing is lost yet.
CREATE TABLE listening (
    the_row boolean PRIMARY KEY DEFAULT true CHECK (the_row),
    beat_at timestamptz NOT NULL,
    -- In seconds; below zero after the database's clock was put back.
    lost_s double precision NOT NULL DEFAULT 0
);

-- It follows the database's clock from the last beat on, but two seconds at most, and not back before
-- the beat. Seconds, not days: a day of an interval is not always 24 hours long.
CREATE FUNCTION listening_now() RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT coalesce((
        SELECT greatest(beat_at, least(now(), beat_at + interval '2 seconds'))
            - make_interval(secs => lost_s)
        FROM listening
    ), now())
$$;

-- The database's time at which listening time shows `at`, if nothing more is lost.
CREATE FUNCTION database_time(at timestamptz) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT at + make_interval(secs => extract(epoch FROM now() - listening_now())::double precision)
$$;

-- expires_at of a reservation that is PENDING is in listening time, as paying_until and look_at are; that
-- of any other is the database's.

-- Events are sent by listening time: one that is due is due whatever happens to the clock.
ALTER TABLE outbox ALTER COLUMN send_at SET DEFAULT listening_now();
