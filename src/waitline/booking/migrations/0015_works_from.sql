-- The oldest version that these tables still serve, for versions that do not know the latest step.
-- A step that an older version cannot work with raises it.
CREATE TABLE schema_works_from (
    -- There is one row.
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    -- The last step of that version.
    step text NOT NULL CHECK (length(step) = 4)
);
INSERT INTO schema_works_from (step) VALUES ('0014');
