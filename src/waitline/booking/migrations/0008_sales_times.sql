-- When a schedule sells, and until when buyers may cancel; the currency of a concert's prices.
-- squawk-ignore-file adding-not-nullable-field

ALTER TABLE concert
    -- ISO 4217; prices are whole numbers of its minor unit.
    ADD COLUMN currency text NOT NULL DEFAULT 'KRW',
    -- Counts the changes: who changes a concert names the version they have seen.
    ADD COLUMN version integer NOT NULL DEFAULT 1;
-- NOT VALID: existing rows have the defaults. New rows are checked.
ALTER TABLE concert ADD CONSTRAINT concert_currency_form CHECK (currency ~ '^[A-Z]{3}$') NOT VALID;

ALTER TABLE schedule
    -- Before it, nothing can be reserved; NULL: at once.
    ADD COLUMN opens_at timestamptz,
    -- From it on, nothing can be reserved; NULL: from the start on.
    ADD COLUMN sales_end timestamptz,
    -- From it on, buyers cannot cancel what they have paid for; NULL: from the start on.
    ADD COLUMN cancel_until timestamptz,
    -- The UTC offsets in which the times were given, in minutes: they are shown in them. Those of NULL
    -- mean nothing.
    ADD COLUMN starts_offset_min integer NOT NULL DEFAULT 0,
    ADD COLUMN opens_offset_min integer NOT NULL DEFAULT 0,
    ADD COLUMN sales_end_offset_min integer NOT NULL DEFAULT 0,
    ADD COLUMN cancel_offset_min integer NOT NULL DEFAULT 0,
    ADD COLUMN version integer NOT NULL DEFAULT 1;
-- NOT VALID: existing rows are all NULL. New rows are checked.
ALTER TABLE schedule
    ADD CONSTRAINT schedule_opens_before_end
        CHECK (opens_at < least(sales_end, starts_at)) NOT VALID,
    ADD CONSTRAINT schedule_ends_by_its_start CHECK (sales_end <= starts_at) NOT VALID;

-- The demo concert of trial mode sells for ever.
UPDATE schedule SET starts_at = '2099-12-31 19:00+09', starts_offset_min = 540
WHERE schedule_id = 1 AND concert_id IN (
    SELECT concert_id FROM concert
    WHERE concert_id = 1 AND title = 'Waitline Live' AND venue = 'Waitline Hall' AND room = '1'
);
