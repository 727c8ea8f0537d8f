-- A waiting visitor's times of joining and of last contact: joined_ms:heard_ms.
local HEARD = '^(%d+):(%d+)$'
