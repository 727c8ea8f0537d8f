--[[
open.lua: create a room, once, and log it.

Its token bucket starts empty, so a new room does not begin with a burst.

KEYS
  1 room         hash   mode, message, shop_url, limits, created_ms, seq
  2 rate         hash   the token bucket
  3 changes      stream the log of operators' changes
ARGV
  1 who          str    who creates it, for the log
  2 name         str    field of the room, repeated with the next
  3 value        str    its value
RETURNS  one row
  opened
  exists

COST  O(1)
]]
local room, rate, changes = KEYS[1], KEYS[2], KEYS[3]
--@include clock
--@include instant
--@include past
--@include room_log
if redis.call('HEXISTS', room, 'mode') == 1 then return {{'exists'}} end
-- Earlier versions wrote a beat into a room that had just been deleted. Nothing else is removed: a
-- full store must refuse the first write.
if redis.call('EXISTS', room) == 1 then redis.call('DEL', room) end
local clock = clock_ms()
local now = string.format('%d', clock)
redis.call('HSET', room, 'seq', 0, 'created_ms', now, unpack(ARGV, 2))
redis.call('HSET', rate, 'tokens', 0, 'tokens_at', now)
local after = {}
for i = 2, #ARGV, 2 do
  if ARGV[i + 1] ~= '' then after[ARGV[i]] = ARGV[i + 1] end
  mark_past(room, ARGV[i], ARGV[i + 1], clock)
end
log_change(changes, clock, ARGV[1], 'room created', nil, after)
-- The log of a deleted room of this name is continued.
redis.call('PERSIST', changes)
return {{'opened'}}
