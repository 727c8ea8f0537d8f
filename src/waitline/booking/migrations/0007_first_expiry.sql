-- When the reservation expires, as its maker was answered. The reservation's own expires_at moves with
-- the listening clock, and a repeat gets the first answer.
ALTER TABLE idempotency ADD COLUMN expires_at timestamptz;
