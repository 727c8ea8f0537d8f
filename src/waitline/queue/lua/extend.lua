--[[
extend.lua: renew the time of active visitors, as often as the room allows (Q8).

`claim` is the stay that the visitor's token proves, 0 where no token is required. A token for
another stay is refused (Q9).

KEYS
  1 room         hash   active_ttl_ms, extensions_max, beat_ms, lost_ms
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
  spent
  queued   place:int
  unknown
  stranger

COST  O(m log A) for m visitors and A admitted
]]
local room, waiting, admitted, slots = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
--@include clock
--@include listening
--@include slot
--@include slot_row
local clock = clock_ms()
local ttl, most, beat_ms, lost_ms =
  unpack(redis.call('HMGET', room, 'active_ttl_ms', 'extensions_max', 'beat_ms', 'lost_ms'))
local now = listened_ms(clock, beat_ms, lost_ms)
local until_text = string.format('%d', now + (ttl or 0))
most = tonumber(most or 0)

-- The claim of a visitor who needs no token.
local NONE = '0'

local visitors = {}
for i = 1, #ARGV, 2 do visitors[#visitors + 1] = ARGV[i] end
local held = redis.call('HMGET', slots, unpack(visitors))
local rows, newest, expiries = {}, {}, {}

local function renew(visitor, claim, slot)
  local state, place, joined, admitted_ms, extensions, expires, mark = string.match(slot, SLOT)
  if claim ~= NONE and claim ~= place .. '-' .. joined then return {'stranger'} end
  local word = 'active'
  if (state ~= 'R' and state ~= 'A') or tonumber(expires) <= now then
    word = 'expired'
  elseif state == 'R' then
    word = 'ready'
  elseif tonumber(extensions) >= most then
    return {'spent'}
  else
    extensions, expires = string.format('%d', extensions + 1), until_text
    newest[visitor] = 'A|' .. place .. '|' .. joined .. '|' .. admitted_ms
      .. '|' .. extensions .. '|' .. expires .. mark
    expiries[#expiries + 1] = until_text
    expiries[#expiries + 1] = visitor
  end
  if state == 'R' or state == 'A' then expires = expires + clock - now end
  return slot_row(word, place, joined, admitted_ms, extensions, expires)
end

for i, visitor in ipairs(visitors) do
  -- A visitor who appears twice in a call is extended twice, the second time from the first result.
  local slot = newest[visitor] or held[i]
  if slot then
    rows[i] = renew(visitor, ARGV[2 * i], slot)
  else
    local place = redis.call('ZSCORE', waiting, visitor)
    rows[i] = place and {'queued', tonumber(place)} or {'unknown'}
  end
end

if #expiries > 0 then
  local renewed = {}
  for visitor, slot in pairs(newest) do
    renewed[#renewed + 1], renewed[#renewed + 2] = visitor, slot
  end
  -- The removal comes first: a full store refuses a script whose first write needs memory.
  redis.call('HDEL', slots, renewed[1])
  redis.call('HSET', slots, unpack(renewed))
  redis.call('ZADD', admitted, unpack(expiries))
end
return rows
