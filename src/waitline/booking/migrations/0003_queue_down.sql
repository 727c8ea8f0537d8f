-- What the box office does with a concert's visitors while the queue does not answer: each concert
-- may have its own answer. NULL: what the installation has chosen.
ALTER TABLE concert ADD COLUMN queue_down text;
-- The rows that are there have none, so they need not be looked through; new ones are checked.
ALTER TABLE concert ADD CONSTRAINT concert_queue_down_known
    CHECK (queue_down IN ('refuse', 'admit')) NOT VALID;
