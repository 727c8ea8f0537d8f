--[[
rejoin.lua: give visitors who were passed over their old places back, if they return in time.

Idempotent: a repeat changes nothing and answers the same. `claim` is the stay that the visitor's
token proves, 0 where no token is required; a token for another stay is refused (Q9). A visitor who
returns overtakes nobody: its turn had come before theirs, and it waits again from now on (Q3).

KEYS
  1 room         hash   seq, served, beat_ms, lost_ms, counters
  2 waiting      zset   visitor -> place
  3 heard        hash   visitor -> joined_ms[:heard_ms][:returned_ms][;mark]
  4 lapsed       zset   visitor -> lapsed_ms
  5 slots        hash   visitor -> slot
ARGV
  1 visitor      str    repeated with the next: 1 to 256 visitors
  2 claim        str    stay proved, as place-joined_ms, or 0
RETURNS  one row per visitor, in the order of ARGV
  waiting  place:int joined_ms:int ahead:int
  returned  place:int joined_ms:int ahead:int returned_ms:int
  late
  unknown
  stranger

COST  O(m log N) for m visitors and N waiting
]]
local room, waiting, heard, lapsed, slots = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
--@include clock
--@include listening
--@include slot
--@include heard
--@include claim
local clock = clock_ms()
local seq, served, beat_ms, lost_ms =
  unpack(redis.call('HMGET', room, 'seq', 'served', 'beat_ms', 'lost_ms'))
local now = listened_ms(clock, beat_ms, lost_ms)
local times = string.format(':%d:%d', now, clock)

local visitors = {}
for i = 1, #ARGV, 2 do visitors[#visitors + 1] = ARGV[i] end
local held = redis.call('HMGET', slots, unpack(visitors))
local refused, gone, joins, marks = {}, {}, {}, {}

for i, visitor in ipairs(visitors) do
  if held[i] and not gone[visitor] then
    local claim = ARGV[2 * i]
    local state, place, joined, _, _, _, mark = string.match(held[i], SLOT)
    if stranger(claim, place .. '-' .. joined) then
      refused[i] = 'stranger'
    elseif state ~= 'P' or tonumber(redis.call('ZSCORE', lapsed, visitor) or 0) <= now then
      refused[i] = 'late'
    else
      gone[visitor] = true
      gone[#gone + 1] = visitor
      joins[#joins + 1], joins[#joins + 2] = place, visitor
      marks[#marks + 1], marks[#marks + 2] = visitor, joined .. times .. mark
    end
  end
end

if #gone > 0 then
  local first = redis.call('ZRANGE', waiting, 0, 0, 'WITHSCORES')
  local serving = first[2] and first[2] - 1 or tonumber(seq)
  -- The removal comes first: a full store refuses a script whose first write needs memory. After
  -- the first write no other is refused, so no visitor is lost.
  redis.call('HDEL', slots, unpack(gone))
  redis.call('ZREM', lapsed, unpack(gone))
  redis.call('ZADD', waiting, unpack(joins))
  redis.call('HSET', heard, unpack(marks))
  redis.call('HSET', room, 'served',
    string.format('%d', math.max(serving, tonumber(served or 0))))
  redis.call('HINCRBY', room, 'returned', #gone)
end

local rows = {}
local places = redis.call('ZMSCORE', waiting, unpack(visitors))
for i, visitor in ipairs(visitors) do
  if refused[i] then
    rows[i] = {refused[i]}
  elseif not places[i] then
    rows[i] = {'unknown'}
  else
    local joined, _, returned = string.match(redis.call('HGET', heard, visitor), HEARD)
    if stranger(ARGV[2 * i], places[i] .. '-' .. joined) then
      rows[i] = {'stranger'}
    else
      local word = returned == '' and 'waiting' or 'returned'
      rows[i] = {word, tonumber(places[i]), tonumber(joined),
        redis.call('ZRANK', waiting, visitor), tonumber(returned)}
    end
  end
end
return rows
