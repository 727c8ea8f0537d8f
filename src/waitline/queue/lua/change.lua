--[[
change.lua: change settings of a room, with effect from the next call on, and log what differs.

The identity that a room requires can change only while no visitor waits in it or holds a slot: a
place under a claimed name must not become an account's. A room that admits visitors again begins
with an empty token bucket: a pause accumulates no admissions (Q5).

KEYS
  1 room         hash   mode, opens_at, closes_at, message, shop_url, limits, identity,
                        changed_ms, beat_ms, lost_ms
  2 waiting      zset   visitor -> place
  3 admitted     zset   visitor -> expires_ms
  4 rate         hash   the token bucket
  5 changes      stream the log of operators' changes
ARGV
  1 who          str    who changes it, for the log
  2 name         str    field of the room, repeated with the next
  3 value        str    its new value
RETURNS  one row
  changed
  occupied  waiting:int admitted:int
  no_room

COST  O(1)
]]
local room, waiting, admitted, rate, changes = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
--@include clock
--@include listening
--@include instant
--@include opening
--@include past
--@include room_log
local clock = clock_ms()

local function admits_now()
  local mode, opens_at, closes_at =
    unpack(redis.call('HMGET', room, 'mode', 'opens_at', 'closes_at'))
  return admits(mode, opens_at, closes_at, clock)
end

if redis.call('EXISTS', room) == 0 then return {{'no_room'}} end
for i = 2, #ARGV, 2 do
  if ARGV[i] == 'identity' and (redis.call('HGET', room, 'identity') or 'claimed') ~= ARGV[i + 1]
  then
    local waits, holds = redis.call('ZCARD', waiting), redis.call('ZCARD', admitted)
    if waits + holds > 0 then return {{'occupied', waits, holds}} end
  end
end
local admitted_before, before, after = admits_now(), {}, {}
for i = 2, #ARGV, 2 do
  local name, value = ARGV[i], ARGV[i + 1]
  local stored = redis.call('HGET', room, name)
  if stored ~= value then
    before[name], after[name] = stored or nil, value
    mark_past(room, name, value, clock)
  end
end
redis.call('HSET', room, 'changed_ms', string.format('%d', clock), unpack(ARGV, 2))
if next(after) then log_change(changes, clock, ARGV[1], 'room changed', before, after) end
if not admitted_before and admits_now() then
  local now = listened_ms(clock, unpack(redis.call('HMGET', room, 'beat_ms', 'lost_ms')))
  redis.call('HSET', rate, 'tokens', 0, 'tokens_at', string.format('%d', now))
end
return {{'changed'}}
