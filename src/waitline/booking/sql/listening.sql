-- name: beat()
-- Record a heartbeat of a worker. Listening time continues from its last value: time without a
-- heartbeat is not counted. A beat that another worker has just recorded is not recorded again.
-- locks: listening
-- returns: one row if the beat was recorded
INSERT INTO listening AS l (beat_at) VALUES (now())
ON CONFLICT (the_row) DO UPDATE SET
    beat_at = now(),
    lost_s = extract(epoch FROM now() - (
        greatest(l.beat_at, least(now(), l.beat_at + interval '2 seconds'))
        - make_interval(secs => l.lost_s)
    ))
WHERE now() > l.beat_at + interval '0.25 s' OR now() < l.beat_at - interval '1 s'
RETURNING lost_s;
