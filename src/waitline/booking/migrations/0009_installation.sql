-- The mode belongs to the data, and concerts say who made them: test data, demo and rehearsals delete
-- only their own.
-- squawk-ignore-file adding-required-field

-- At most one row; none until the first start. play_money is NULL until buyers can pay.
CREATE TABLE installation (
    the_row boolean PRIMARY KEY DEFAULT true CHECK (the_row),
    mode text NOT NULL CHECK (mode IN ('trial', 'production')),
    play_money boolean,
    changed_at timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE concert ADD COLUMN origin text NOT NULL DEFAULT 'operator';
-- NOT VALID: existing rows all have the default, or a value from below. New rows are checked.
ALTER TABLE concert ADD CONSTRAINT concert_origin_known
    CHECK (origin IN ('operator', 'demo', 'rehearsal')) NOT VALID;
-- As earlier versions created them; what an operator renamed is the operator's.
UPDATE concert SET origin = 'demo'
WHERE concert_id = 1 AND title = 'Waitline Live' AND venue = 'Waitline Hall' AND room = '1';
UPDATE concert SET origin = 'rehearsal'
WHERE starts_with(room, 'waitline-rehearsal-') AND title = 'Rehearsal, not a real concert';
