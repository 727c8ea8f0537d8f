--[[
leave.lua: give up places and slots; a slot is free for the next visitor at once.

Idempotent: a repeat changes nothing and answers `absent`. `claim` is the stay that the visitor's
token proves, 0 where no token is required. A token for another stay is refused (Q9).

KEYS
  1 room         hash   ready_ttl_ms, active_ttl_ms, beat_ms, lost_ms, counters
  2 waiting      zset   visitor -> place
  3 heard        hash   visitor -> joined_ms[:heard_ms][:returned_ms][;mark]
  4 admitted     zset   visitor -> expires_ms
  5 lapsed       zset   visitor -> lapsed_ms
  6 slots        hash   visitor -> slot
  7 departed     zset   place -> ms of departure
ARGV
  1 visitor      str    repeated with the next: 1 to 256 visitors
  2 claim        str    stay proved, as place-joined_ms, or 0
RETURNS  one row per visitor, in the order of ARGV
  left
  absent
  stranger

COST  O(m log N) for m visitors and N in the room
]]
local room, waiting, heard = KEYS[1], KEYS[2], KEYS[3]
local admitted, lapsed, slots, departed = KEYS[4], KEYS[5], KEYS[6], KEYS[7]
--@include clock
--@include listening
--@include heard
--@include claim
-- Most departed places kept (`DEPARTED_MAX`).
local DEPARTED_MAX = 4096
local clock = clock_ms()
local beat_ms, lost_ms, ready_ttl, active_ttl =
  unpack(redis.call('HMGET', room, 'beat_ms', 'lost_ms', 'ready_ttl_ms', 'active_ttl_ms'))
local now = listened_ms(clock, beat_ms, lost_ms)

local visitors = {}
for i = 1, #ARGV, 2 do visitors[#visitors + 1] = ARGV[i] end
local places = redis.call('ZMSCORE', waiting, unpack(visitors))
local held = redis.call('HMGET', slots, unpack(visitors))
local expiries = redis.call('ZMSCORE', admitted, unpack(visitors))
local rows, gone, from_line, from_slots = {}, {}, {}, {}
local left, ran_out = 0, 0
local departures = {}

for i, visitor in ipairs(visitors) do
  local claim = ARGV[2 * i]
  local place, joined = places[i], nil
  if not place and held[i] then place, joined = string.match(held[i], '^%a|(%d+)|(%d+)|') end
  if places[i] and claim ~= NONE then
    joined = string.match(redis.call('HGET', heard, visitor), HEARD)
  end
  if not place or gone[visitor] then
    rows[i] = {'absent'}
  elseif joined and stranger(claim, place .. '-' .. joined) then
    rows[i] = {'stranger'}
  else
    gone[visitor] = true
    rows[i] = {'left'}
    if places[i] then
      from_line[#from_line + 1] = visitor
    else
      from_slots[#from_slots + 1] = visitor
      if expiries[i] and tonumber(expiries[i]) > now then
        left = left + 1
        departures[2 * left - 1], departures[2 * left] = string.format('%d', clock), place
      elseif expiries[i] then
        ran_out = ran_out + 1
      end
    end
  end
end

-- Removals come before counters: a full store refuses a script whose first write needs memory, and
-- a removal needs none.
if #from_line > 0 then
  redis.call('ZREM', waiting, unpack(from_line))
  redis.call('HDEL', heard, unpack(from_line))
  redis.call('HINCRBY', room, 'abandoned', #from_line)
end
if #from_slots > 0 then
  redis.call('HDEL', slots, unpack(from_slots))
  redis.call('ZREM', admitted, unpack(from_slots))
  redis.call('ZREM', lapsed, unpack(from_slots))
  if left > 0 then
    redis.call('HINCRBY', room, 'left', left)
    redis.call('ZADD', departed, unpack(departures))
    redis.call('ZREMRANGEBYRANK', departed, 0, -DEPARTED_MAX - 1)
    -- No pass is valid for longer than a slot; a room that is gone has no times.
    redis.call('PEXPIRE', departed, math.max(ready_ttl or 0, active_ttl or 0, 1))
  end
  if ran_out > 0 then redis.call('HINCRBY', room, 'lapsed', ran_out) end
end
return rows
