-- A waiting visitor's times of joining and of last contact, joined_ms:heard_ms, and the visitor's
-- mark behind a semicolon; it is captured with the semicolon. One who was passed over and came back
-- also has the time of return, joined_ms:heard_ms:returned_ms. A time that is unknown, or equal to
-- the time of joining, is omitted: it would cost 16 bytes for each visitor who has just joined.
local HEARD = '^(%d+):?(%d*):?(%d*)(.*)$'
