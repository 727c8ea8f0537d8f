--[[
change.lua: change settings of a room, with effect from the next call on.

What identity a room requires can change only while nobody waits in it or holds a slot: a place that
somebody has claimed must not become an account's. A room that admits visitors again begins with an
empty token bucket: a pause saves no admissions up (Q5).

KEYS
  1 room         hash   mode, opens_at, closes_at, message, shop_url, limits, identity,
                        changed_ms, beat_ms, lost_ms
  2 waiting      zset   visitor -> place
  3 admitted     zset   visitor -> expires_ms
  4 rate         hash   the token bucket
ARGV
  1 name         str    field of the room, repeated with the next
  2 value        str    its new value
RETURNS  one row
  changed
  occupied  waiting:int admitted:int
  no_room

COST  O(1)
]]
local room, waiting, admitted, rate = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
--@include clock
--@include listening
--@include instant
--@include opening
local clock = clock_ms()

local function admits_now()
  local mode, opens_at, closes_at =
    unpack(redis.call('HMGET', room, 'mode', 'opens_at', 'closes_at'))
  return admits(mode, opens_at, closes_at, clock)
end

if redis.call('EXISTS', room) == 0 then return {{'no_room'}} end
for i = 1, #ARGV, 2 do
  if ARGV[i] == 'identity' and (redis.call('HGET', room, 'identity') or 'claimed') ~= ARGV[i + 1]
  then
    local waits, holds = redis.call('ZCARD', waiting), redis.call('ZCARD', admitted)
    if waits + holds > 0 then return {{'occupied', waits, holds}} end
  end
end
local before = admits_now()
redis.call('HSET', room, 'changed_ms', string.format('%d', clock), unpack(ARGV))
if not before and admits_now() then
  local now = listened_ms(clock, unpack(redis.call('HMGET', room, 'beat_ms', 'lost_ms')))
  redis.call('HSET', rate, 'tokens', 0, 'tokens_at', string.format('%d', now))
end
return {{'changed'}}
