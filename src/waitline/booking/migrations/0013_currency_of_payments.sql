-- The currency that a payment is asked for in, and that it was charged in where the two differ.
-- Versions before charged every payment in KRW, whatever the currency of the concert was. The form needs
-- no check of its own, which each payment would pay for: concerts have one.
ALTER TABLE payment
    ADD COLUMN currency text NOT NULL DEFAULT 'KRW',
    -- Currency of charged; NULL: the same as currency.
    ADD COLUMN charged_currency text;
