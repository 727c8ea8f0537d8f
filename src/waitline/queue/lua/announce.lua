--[[
announce.lua: claim the opening or closing of a room by the clock, once each.

The first admitter to call gets it. A time that had passed when an operator set it is not claimed:
open.lua and change.lua mark it. Nor is one without effect, because the operator has paused or
closed the room.

KEYS
  1 room         hash   mode, opens_at, closes_at, opened_ms, closed_ms
RETURNS  one row
  claimed  opened:0|1 closed:0|1 next_ms:int
  no_room

COST  O(1)
]]
local room = KEYS[1]
--@include clock
--@include instant
local clock = clock_ms()
local mode, opens_at, closes_at, opened_ms, closed_ms =
  unpack(redis.call('HMGET', room, 'mode', 'opens_at', 'closes_at', 'opened_ms', 'closed_ms'))
if not mode then return {{'no_room'}} end
local next_ms = math.huge

-- Claim a time; return whether the caller is the first to do so after it has passed.
local function claim(at, field, claimed)
  local at_ms = instant_ms(at)
  if not at_ms or at_ms == tonumber(claimed or 0) then return false end
  if at_ms > clock then
    next_ms = math.min(next_ms, at_ms)
    return false
  end
  redis.call('HSET', room, field, string.format('%d', at_ms))
  return true
end

local opened = claim(opens_at, 'opened_ms', opened_ms) and (mode == 'open' or mode == 'draining')
local closed = claim(closes_at, 'closed_ms', closed_ms) and mode ~= 'closed'
return {{'claimed', opened and 1 or 0, closed and 1 or 0, next_ms < math.huge and next_ms or 0}}
