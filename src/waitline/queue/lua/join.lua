--[[
join.lua: take the next places of a room's line, once per visitor.

Idempotent: a visitor who waits keeps the place, and one who holds a slot keeps the slot. A visitor
whose time ran out joins again; one who was passed over does so once the time to return is over.
Places start at 1 and are never reused; a refused join uses none and changes nothing (Q1, Q2, Q10).
Within one call the order of ARGV is the order of joining. A repeat does not count as contact, since
any client can name a visitor: the caller counts it (status.lua) once the repeat is proved to be the
visitor's.

A mark is stored with its visitor. It proves later who took the place; the caller compares it. In a
room whose identity is `signed`, every mark is `a`, for a visitor with a statement of the shop: one
without is refused there, and one with it elsewhere.

KEYS
  1 room         hash   mode, seq, waiting_max, identity, closes_at, beat_ms,
                        lost_ms, counters, unsure, unsure_from, unsure_until
  2 waiting      zset   visitor -> place
  3 heard        hash   visitor -> joined_ms[:heard_ms][:returned_ms][;mark]
  4 admitted     zset   visitor -> expires_ms
  5 lapsed       zset   visitor -> lapsed_ms
  6 slots        hash   visitor -> slot
ARGV
  1 count        int    number of visitors, 1 to 256
  2 visitor      str    repeated: that many
  3 mark         str    repeated: each visitor's mark, empty for none; omitted if all have none
RETURNS  one row per visitor, in the order of ARGV
  joined   place:int joined_ms:int ahead:int total:int
  again    place:int joined_ms:int ahead:int total:int mark:str
  ready    place:int joined_ms:int admitted_ms:int extensions:int expires_ms:int mark:str
  active   place:int joined_ms:int admitted_ms:int extensions:int expires_ms:int mark:str
  passed   place:int joined_ms:int passed_ms:int until_ms:int left_ms:int mark:str
  unstated
  stale
  full     waiting_max:int
  closed
  no_room
  no_memory

COST  O(m log N) for m visitors asked about and N waiting
]]
local room, waiting, heard = KEYS[1], KEYS[2], KEYS[3]
local admitted, lapsed, slots = KEYS[4], KEYS[5], KEYS[6]
--@include clock
--@include listening
--@include slot
--@include slot_row
--@include heard
--@include passed
--@include full
--@include clocks_apart
--@include unsure
--@include count_unsure
--@include instant
-- The mark of a visitor for whom the shop vouches.
local ACCOUNT = 'a'
local clock = clock_ms()
local count = tonumber(ARGV[1])
local marked = #ARGV > count + 1

local mode, seq, waiting_max, identity, closes_at, beat_ms, lost_ms =
  unpack(redis.call('HMGET', room, 'mode', 'seq', 'waiting_max', 'identity', 'closes_at',
    'beat_ms', 'lost_ms'))
local now = listened_ms(clock, beat_ms, lost_ms)
local rows = {}
if not mode then
  for i = 1, count do rows[i] = {'no_room'} end
  return rows
end
local signed = identity == 'signed'
local last, most = tonumber(seq), tonumber(waiting_max)
local takes = (mode == 'open' or mode == 'paused')
  and clock < (instant_ms(closes_at) or math.huge)
local places = redis.call('ZMSCORE', waiting, unpack(ARGV, 2, count + 1))
local held = redis.call('HMGET', slots, unpack(ARGV, 2, count + 1))
local total = redis.call('ZCARD', waiting)
local given, renewed = {}, {}
local joins, marks, newcomers = {}, {}, {}
local times = now == clock and string.format('%d', clock) or string.format('%d:%d', clock, now)

local function stand(visitor, slot)
  local state, place, joined, admitted_ms, extensions, expires, mark = string.match(slot, SLOT)
  if state == 'P' then
    local row = passed_row(lapsed, visitor, place, joined, admitted_ms, now, clock)
    row[7] = string.sub(mark, 2)
    if row[6] > 0 then return row end
  end
  if (state ~= 'R' and state ~= 'A') or tonumber(expires) <= now then
    renewed[#renewed + 1] = visitor
    return nil
  end
  local word = state == 'R' and 'ready' or 'active'
  local row = slot_row(word, place, joined, admitted_ms, extensions, expires + clock - now)
  row[7] = string.sub(mark, 2)
  return row
end

local function again(visitor, place)
  local joined, _, _, mark = string.match(redis.call('HGET', heard, visitor), HEARD)
  return {'again', place, tonumber(joined), redis.call('ZRANK', waiting, visitor), total,
    string.sub(mark, 2)}
end

for i = 1, count do
  local visitor = ARGV[i + 1]
  local mark = marked and ARGV[count + 1 + i] or ''
  local earlier = given[visitor]
  if (mark == ACCOUNT) ~= signed then
    rows[i] = {signed and 'unstated' or 'stale'}
  elseif earlier then
    local first = rows[earlier]
    rows[i] = {'again', first[2], clock, first[4], total,
      marked and ARGV[count + 1 + earlier] or ''}
  elseif places[i] then
    rows[i] = again(visitor, tonumber(places[i]))
  else
    local row = held[i] and stand(visitor, held[i])
    if row then
      rows[i] = row
    elseif not takes then
      rows[i] = {'closed'}
    elseif total >= most then
      rows[i] = {'full', most}
    else
      last = last + 1
      local n = #joins
      joins[n + 1], joins[n + 2] = last, visitor
      marks[n + 1] = visitor
      marks[n + 2] = mark == '' and times or times .. ';' .. mark
      newcomers[#newcomers + 1] = i
      rows[i] = {'joined', last, clock, total, total + 1}
      given[visitor] = i
      total = total + 1
    end
  end
end

-- If the store is full, this first write is refused and nothing has changed. The writes after it
-- are never refused.
if #joins > 0 then
  if refused_for_memory(redis.pcall('ZADD', waiting, unpack(joins))) then
    for i = 1, count do
      if given[ARGV[i + 1]] then rows[i] = {'no_memory'} end
    end
  else
    redis.call('HSET', heard, unpack(marks))
    redis.call('HSET', room, 'seq', string.format('%d', last))
    redis.call('HINCRBY', room, 'entered', #newcomers)
    for _, visitor in ipairs(renewed) do
      if given[visitor] then
        local ended = redis.call('ZREM', admitted, visitor)
        redis.call('HINCRBY', room, 'lapsed', ended)
        if ended > 0 then count_unsure(room, clock, {held[given[visitor]]}) end
        redis.call('ZREM', lapsed, visitor)
        redis.call('HDEL', slots, visitor)
      end
    end
  end
end
return rows
