-- A waiting visitor's times of joining and of last contact, joined_ms:heard_ms, and the visitor's
-- mark behind a semicolon; it is captured with the semicolon. One who was passed over and came back
-- has the time of return besides, joined_ms:heard_ms:returned_ms. What is not known, or the same as
-- the time of joining, is left out: it would take a visitor who has just joined 16 bytes more.
local HEARD = '^(%d+):?(%d*):?(%d*)(.*)$'
