-- When a waiting visitor joined and was last heard of: joined_ms:heard_ms.
local HEARD = '^(%d+):(%d+)$'
