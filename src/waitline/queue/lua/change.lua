--[[
change.lua: change settings of a room, with effect from the next call on.

What identity a room requires can change only while nobody waits in it or holds a slot: a place that
somebody has claimed must not become an account's.

KEYS
  1 room         hash   mode, message, shop_url, limits, identity, changed_ms
  2 waiting      zset   visitor -> place
  3 admitted     zset   visitor -> expires_ms
ARGV
  1 name         str    field of the room, repeated with the next
  2 value        str    its new value
RETURNS  one row
  changed
  occupied  waiting:int admitted:int
  no_room

COST  O(1)
]]
local room, waiting, admitted = KEYS[1], KEYS[2], KEYS[3]
--@include clock
if redis.call('EXISTS', room) == 0 then return {{'no_room'}} end
for i = 1, #ARGV, 2 do
  if ARGV[i] == 'identity' and (redis.call('HGET', room, 'identity') or 'claimed') ~= ARGV[i + 1]
  then
    local waits, holds = redis.call('ZCARD', waiting), redis.call('ZCARD', admitted)
    if waits + holds > 0 then return {{'occupied', waits, holds}} end
  end
end
local now = string.format('%d', clock_ms())
redis.call('HSET', room, 'changed_ms', now, unpack(ARGV))
return {{'changed'}}
