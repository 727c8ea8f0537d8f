-- A seat that is deleted is looked for in all reservations that ever held it. Without this, deleting
-- a rehearsal's seats reads the whole table once for each of them.
-- All steps are one transaction, which no index is made beside. Reserving waits meanwhile: about
-- half a second for half a million reservations.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX reserved_seat_by_seat ON reserved_seat (seat_id);
