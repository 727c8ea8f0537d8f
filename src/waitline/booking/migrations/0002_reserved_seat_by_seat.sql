-- Deleting a seat checks the foreign key of every reservation that ever held it. Without this index,
-- deleting a rehearsal's seats scans the whole table once per seat.
-- Not CONCURRENTLY: all steps run in one transaction. Reservations are blocked meanwhile, about half a
-- second for half a million of them.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX reserved_seat_by_seat ON reserved_seat (seat_id);
