--[[
change.lua: change settings of a room, with effect from the next call on.

KEYS
  1 room         hash   mode, message, shop_url, limits, changed_ms
ARGV
  1 name         str    field of the room, repeated with the next
  2 value        str    its new value
RETURNS  one row
  changed
  no_room

COST  O(1)
]]
local room = KEYS[1]
--@include clock
if redis.call('EXISTS', room) == 0 then return {{'no_room'}} end
local now = string.format('%d', clock_ms())
redis.call('HSET', room, 'changed_ms', now, ARGV[1], ARGV[2], unpack(ARGV, 3))
return {{'changed'}}
