-- Users are named by text, as in the waiting room; a reservation belongs to the holder whose token made
-- it; ids of reservations and payments cannot be guessed.
-- The earlier version cannot serve after this step: its statements send user ids as numbers. Stop the
-- booking service first. The four tables are rewritten, a few seconds per million rows.
-- squawk-ignore-file changing-column-type, ban-alter-identity, ban-drop-constraint
-- squawk-ignore-file constraint-missing-not-valid, adding-serial-primary-key-field

-- A random positive integer of 53 bits, which JSON numbers hold exactly. gen_random_uuid takes its 122
-- random bits from a cryptographic source; its last 60 are among them. One expression, so that the
-- planner inlines it.
CREATE FUNCTION random_id() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT greatest(1, ('x' || right(replace(gen_random_uuid()::text, '-', ''), 16))::bit(64)::bigint
        & 9007199254740991)
$$;

ALTER TABLE reservation
    ALTER COLUMN user_id TYPE text USING user_id::text,
    ALTER COLUMN reservation_id DROP IDENTITY,
    ALTER COLUMN reservation_id SET DEFAULT random_id(),
    -- Empty in trial mode, and in rows from before this step: no token proves it, so in production only
    -- an operator gives such a reservation back.
    ADD COLUMN holder text NOT NULL DEFAULT '';

ALTER TABLE payment
    ALTER COLUMN user_id TYPE text USING user_id::text,
    ALTER COLUMN payment_id DROP IDENTITY,
    ALTER COLUMN payment_id SET DEFAULT random_id(),
    -- Why a charge was refunded at once: the state of its reservation, or FAILED for the attempt itself.
    ADD COLUMN too_late text;
-- NOT VALID: existing rows are all NULL. New rows are checked.
ALTER TABLE payment ADD CONSTRAINT payment_too_late_known
    CHECK (too_late IN ('CONFIRMED', 'CANCELLED', 'EXPIRED', 'FAILED')) NOT VALID;

-- The limit of seats is per holder (B7): under one number, nobody uses up another's.
ALTER TABLE visitor_seats ALTER COLUMN user_id TYPE text USING user_id::text;
ALTER TABLE visitor_seats
    ADD COLUMN holder text NOT NULL DEFAULT '',
    DROP CONSTRAINT visitor_seats_pkey,
    ADD PRIMARY KEY (schedule_id, user_id, holder);

-- Keys of requests that were running during this step: their claims would never end.
DELETE FROM idempotency WHERE status IS NULL;
ALTER TABLE idempotency ALTER COLUMN user_id TYPE text USING user_id::text;
ALTER TABLE idempotency
    ADD COLUMN holder text NOT NULL DEFAULT '',
    -- What was done, written by the statement that did it. NULL: refused, and the answer is stored.
    ADD COLUMN done text,
    ADD COLUMN reservation_id bigint,
    ADD COLUMN payment_id bigint,
    -- Language of the first answer.
    ADD COLUMN language text NOT NULL DEFAULT 'ko',
    DROP CONSTRAINT idempotency_pkey,
    ADD PRIMARY KEY (user_id, holder, idempotency_key);
-- NOT VALID: existing rows all have an answer. New rows are checked.
ALTER TABLE idempotency
    ADD CONSTRAINT idempotency_done_known
        CHECK (done IN ('reserved', 'cancelled', 'refunding', 'begun')) NOT VALID,
    ADD CONSTRAINT idempotency_has_an_outcome
        CHECK (done IS NOT NULL OR (status IS NOT NULL AND answer IS NOT NULL)) NOT VALID,
    ADD CONSTRAINT idempotency_language_known CHECK (language IN ('ko', 'en')) NOT VALID;
