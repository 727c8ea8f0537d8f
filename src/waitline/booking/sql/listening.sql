-- name: beat()
-- Record that a worker listens now. Listening time goes on from where it is: what the database's clock
-- shows beyond it is lost. A beat that another worker has just recorded is not recorded again.
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
