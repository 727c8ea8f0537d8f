--[[
slide.lua: move the end of active visitors' time forward while they use the site (decision 0064).

The new end is `active_ttl_ms` from now, but no later than `stay_ms` after the admission, by the
server's clock, and never earlier than the present one. No extension is counted (Q8), and no slot
is added (Q4). In a room that is closed, or whose `stay_ms` is 0, nothing moves.

`claim` is the stay that the visitor's token proves, 0 where no token is required. A token for
another stay is refused (Q9).

KEYS
  1 room         hash   mode, closes_at, active_ttl_ms, stay_ms, beat_ms, lost_ms
  2 waiting      zset   visitor -> place
  3 admitted     zset   visitor -> expires_ms
  4 slots        hash   visitor -> slot
ARGV
  1 visitor      str    repeated with the next: 1 to 256 visitors
  2 claim        str    stay proved, as place-joined_ms, or 0
RETURNS  one row per visitor, in the order of ARGV
  active   place:int joined_ms:int admitted_ms:int extensions:int expires_ms:int
  ready    place:int joined_ms:int admitted_ms:int extensions:int expires_ms:int
  expired  place:int joined_ms:int admitted_ms:int extensions:int expires_ms:int
  queued   place:int
  unknown
  stranger

COST  O(m log A) for m visitors and A admitted
]]
local room, waiting, admitted, slots = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
--@include clock
--@include listening
--@include instant
--@include slot
--@include slot_row
local clock = clock_ms()
local mode, closes_at, ttl, longest, beat_ms, lost_ms = unpack(redis.call('HMGET', room, 'mode',
  'closes_at', 'active_ttl_ms', 'stay_ms', 'beat_ms', 'lost_ms'))
local now = listened_ms(clock, beat_ms, lost_ms)
-- A room of an earlier version has no longest stay.
longest = tonumber(longest or 0)
local slides = longest > 0 and mode ~= 'closed' and clock < (instant_ms(closes_at) or math.huge)

-- The claim of a visitor who needs no token.
local NONE = '0'

local visitors = {}
for i = 1, #ARGV, 2 do visitors[#visitors + 1] = ARGV[i] end
local held = redis.call('HMGET', slots, unpack(visitors))
local rows, renewed, expiries = {}, {}, {}

-- The end of a stay in listening time, to which it may slide now.
local function slid_ms(admitted_ms)
  return math.min(now + ttl, admitted_ms + longest + now - clock)
end

local function turn(visitor, claim, slot)
  local state, place, joined, admitted_ms, extensions, expires, mark = string.match(slot, SLOT)
  if claim ~= NONE and claim ~= place .. '-' .. joined then return {'stranger'} end
  local word = 'active'
  if (state ~= 'R' and state ~= 'A') or tonumber(expires) <= now then
    word = 'expired'
  elseif state == 'R' then
    word = 'ready'
  elseif slides and slid_ms(admitted_ms) > tonumber(expires) then
    expires = string.format('%d', slid_ms(admitted_ms))
    local n = #renewed
    renewed[n + 1] = visitor
    renewed[n + 2] = 'A|' .. place .. '|' .. joined .. '|' .. admitted_ms
      .. '|' .. extensions .. '|' .. expires .. mark
    expiries[n + 1], expiries[n + 2] = expires, visitor
  end
  if state == 'R' or state == 'A' then expires = expires + clock - now end
  return slot_row(word, place, joined, admitted_ms, extensions, expires)
end

for i, visitor in ipairs(visitors) do
  if held[i] then
    rows[i] = turn(visitor, ARGV[2 * i], held[i])
  else
    local place = redis.call('ZSCORE', waiting, visitor)
    rows[i] = place and {'queued', tonumber(place)} or {'unknown'}
  end
end

if #renewed > 0 then
  -- The removal comes first: a full store refuses a script whose first write needs memory.
  redis.call('HDEL', slots, renewed[1])
  redis.call('HSET', slots, unpack(renewed))
  redis.call('ZADD', admitted, unpack(expiries))
end
return rows
