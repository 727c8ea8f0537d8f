-- What the box office does with a concert's visitors while the queue is down. NULL: the installation's
-- setting applies.
ALTER TABLE concert ADD COLUMN queue_down text;
-- NOT VALID: existing rows are all NULL, so scanning them is not needed. New rows are checked.
ALTER TABLE concert ADD CONSTRAINT concert_queue_down_known
    CHECK (queue_down IN ('refuse', 'admit')) NOT VALID;
