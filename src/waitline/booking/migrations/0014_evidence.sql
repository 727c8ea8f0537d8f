-- The evidence log: what became of each booking, when, and by whom.
-- squawk-ignore-file require-concurrent-index-creation, require-concurrent-index-deletion

-- What happened to a reservation after it was made. No foreign keys: they would look for the reservation
-- once more at each entry.
CREATE TABLE evidence (
    entry_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reservation_id bigint NOT NULL,
    payment_id bigint,
    at timestamptz NOT NULL DEFAULT now(),
    -- booking/evidence.py.
    what text NOT NULL CHECK (length(what) BETWEEN 1 AND 50),
    who text NOT NULL CHECK (length(who) BETWEEN 1 AND 100),
    -- A reason, or an amount.
    detail text CHECK (length(detail) <= 500)
);
CREATE INDEX evidence_by_reservation ON evidence (reservation_id);

-- By whose answer it was first settled.
ALTER TABLE payment ADD COLUMN settled_by text;
ALTER TABLE payment
    ADD CONSTRAINT payment_settled_by_length CHECK (length(settled_by) <= 100) NOT VALID;

-- made_by of a reservation: the kind of token and the place that made it. Forgotten with the log.
CREATE INDEX reservation_to_forget ON reservation (created_at) WHERE made_by IS NOT NULL;
DROP INDEX reservation_by_age;
