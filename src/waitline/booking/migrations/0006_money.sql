-- Money that moves elsewhere: refunds and disputes that the provider reports, charges that wait for the
-- visitor's bank, charges of another amount. Seats at price 0 are paid with the amount 0.
-- squawk-ignore-file ban-drop-constraint, require-concurrent-index-creation
-- squawk-ignore-file adding-not-nullable-field

ALTER TABLE payment DROP CONSTRAINT payment_amount_check;
ALTER TABLE payment DROP CONSTRAINT payment_method_check;
-- NOT VALID: existing rows satisfy the narrower checks of before. New rows are checked.
ALTER TABLE payment
    ADD CONSTRAINT payment_amount_not_negative CHECK (amount >= 0) NOT VALID,
    -- Some providers name a payment method by up to 200 characters.
    ADD CONSTRAINT payment_method_length CHECK (length(method) BETWEEN 1 AND 200) NOT VALID,
    -- What was charged, where it is not what was asked for; in minor units of the charge's currency.
    ADD COLUMN charged bigint,
    -- What the provider has refunded, as far as it has reported it.
    ADD COLUMN refunded bigint NOT NULL DEFAULT 0,
    -- What is special about it; NULL for nothing. booking/payment_flags.py.
    ADD COLUMN flag text,
    ADD COLUMN flagged_at timestamptz,
    -- Whether an operator has seen the flag.
    ADD COLUMN acknowledged boolean NOT NULL DEFAULT false;
ALTER TABLE payment ADD CONSTRAINT payment_flag_known CHECK (flag IN (
    'authentication', 'refund_pending', 'refund_failed', 'refunded_elsewhere', 'refunded_in_part',
    'disputed', 'dispute_won', 'dispute_lost', 'charged_otherwise'
)) NOT VALID;
CREATE INDEX payment_flagged ON payment (flagged_at) WHERE flag IS NOT NULL;
-- Disputes, and refunds made in the provider's dashboard, name the charge by the provider's id.
CREATE INDEX payment_by_ref ON payment (provider_ref) WHERE provider_ref IS NOT NULL;
-- Compared with the provider's list.
CREATE INDEX payment_by_age ON payment (created_at);
