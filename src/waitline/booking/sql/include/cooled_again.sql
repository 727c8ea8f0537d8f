    -- Drops of a holder who has a row already add to those in it.
    ON CONFLICT (user_id, holder) DO UPDATE
    SET (drops, cool_until, times) = (
        SELECT n.drops, n.next_until, n.next_times FROM cooled(
            c.drops || excluded.drops, c.cool_until, c.times, now(),
            :drops_max::integer, :window_s, :first_s, :most_s
        ) AS n
    ), changed_at = now()
