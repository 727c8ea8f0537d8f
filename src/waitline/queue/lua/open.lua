--[[
open.lua: create a room, once.

Its token bucket starts empty, so a new room does not begin with a burst.

KEYS
  1 room         hash   mode, message, shop_url, limits, created_ms, seq
  2 rate         hash   the token bucket
ARGV
  1 name         str    field of the room, repeated with the next
  2 value        str    its value
RETURNS  one row
  opened
  exists

COST  O(1)
]]
local room, rate = KEYS[1], KEYS[2]
--@include clock
if redis.call('HEXISTS', room, 'mode') == 1 then return {{'exists'}} end
-- Earlier versions wrote a beat into a room that had just been deleted. Nothing else is removed: a
-- full store must refuse the first write.
if redis.call('EXISTS', room) == 1 then redis.call('DEL', room) end
local now = string.format('%d', clock_ms())
redis.call('HSET', room, 'seq', 0, 'created_ms', now, unpack(ARGV))
redis.call('HSET', rate, 'tokens', 0, 'tokens_at', now)
return {{'opened'}}
