        -- Why the idempotency key of a request (k) of a holder (asked) stops it; null if it does not.
        -- A function would be called for every request.
        CASE
            WHEN NOT pg_try_advisory_xact_lock(hashtextextended(
                jsonb_build_array(asked.user_id, asked.holder, k.key)::text, 0))
            THEN 'key_running'
            WHEN (
                SELECT true FROM idempotency AS i WHERE i.user_id = asked.user_id
                    AND i.holder = asked.holder AND i.idempotency_key = k.key
            ) THEN 'key_used'
            WHEN (
                SELECT count(*) FROM idempotency AS i
                WHERE i.user_id = asked.user_id AND i.holder = asked.holder
            ) >= :keys_max THEN 'key_limit'
        END AS refused
