-- name: ping()^
-- Answer, so that whoever asks knows that the database does.
-- locks: nothing
-- returns: one row
SELECT true AS up;
