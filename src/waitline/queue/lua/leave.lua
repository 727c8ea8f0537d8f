--[[
leave.lua: give up places and slots; a slot is free for the next at once.

A repeat finds nobody and answers `absent`. `claim` is the place that the visitor's token
proves; 0 where no token was asked for. Another place's token serves nobody (Q9).

KEYS
  1 room         hash   counters
  2 waiting      zset   visitor -> place
  3 heard        hash   visitor -> joined_ms:heard_ms
  4 admitted     zset   visitor -> expires_ms
  5 lapsed       zset   visitor -> lapsed_ms
  6 slots        hash   visitor -> slot
ARGV
  1 visitor      str    repeated with the next: 1 to 256 visitors
  2 claim        int    place proved, or 0
RETURNS  one row per visitor, in the order of ARGV
  left
  absent
  stranger

COST  O(m log N) for m visitors and N in the room
]]
local room, waiting, heard = KEYS[1], KEYS[2], KEYS[3]
local admitted, lapsed, slots = KEYS[4], KEYS[5], KEYS[6]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local rows = {}

-- What goes is removed before it is counted: a full store refuses a script's first write if it
-- needs memory, and a removal needs none.
for i = 1, #ARGV / 2 do
  local visitor, claim = ARGV[2 * i - 1], tonumber(ARGV[2 * i])
  local place = redis.call('ZSCORE', waiting, visitor)
  local slot = not place and redis.call('HGET', slots, visitor)
  local proved = place or (slot and string.match(slot, '^%a|(%d+)|'))
  if not proved then
    rows[i] = {'absent'}
  elseif claim > 0 and claim ~= tonumber(proved) then
    rows[i] = {'stranger'}
  elseif place then
    redis.call('ZREM', waiting, visitor)
    redis.call('HDEL', heard, visitor)
    redis.call('HINCRBY', room, 'abandoned', 1)
    rows[i] = {'left'}
  else
    redis.call('HDEL', slots, visitor)
    redis.call('ZREM', lapsed, visitor)
    if redis.call('ZREM', admitted, visitor) == 1 then
      local expires = tonumber(string.match(slot, '(%d+)$'))
      redis.call('HINCRBY', room, expires > now and 'left' or 'lapsed', 1)
    end
    rows[i] = {'left'}
  end
end
return rows
