--[[
walk_in.lua: admit newcomers at once, while nobody waits and slots and rate are free.

Only in rooms whose `standby` is on. Each takes the next place and a slot in one step, and is
active: the visitor is at the site already. Once anybody waits, or a slot or a token is missing,
the rest is sent to the line, so nobody passes a waiting visitor (Q3), admitted visitors never
exceed active_max (Q4), and admissions never exceed rate and burst (Q5): the bucket is that of
admit.lua. It is filled by the room's listening time, to which a step of the server's clock adds
two seconds at most.

KEYS
  1 room         hash   mode, standby, identity, opens_at, closes_at, seq, active_max, admit_per_s,
                        admit_burst, active_ttl_ms, counters, now_per_s, now_until, beat_ms,
                        lost_ms, resumed_ms, stepped_back_ms, history, unsure, unsure_until
  2 waiting      zset   visitor -> place
  3 admitted     zset   visitor -> expires_ms
  4 slots        hash   visitor -> slot
  5 rate         hash   the token bucket
  6 record       hash   the record of the sale
ARGV
  1 confirmed    int    1 if callers confirm what they admit on a replica, else 0
  2 visitor      str    repeated: 1 to 256 names that nobody has used
RETURNS  one row per visitor, in the order of ARGV
  active   place:int joined_ms:int admitted_ms:int extensions:int expires_ms:int before:int
  line
  unsure   slots:int for_ms:int
  no_room

COST  O(m log A) for m visitors and A admitted
]]
local room, waiting, admitted = KEYS[1], KEYS[2], KEYS[3]
local slots, rate, record = KEYS[4], KEYS[5], KEYS[6]
--@include clock
--@include listening
--@include full
--@include clocks_apart
--@include beat
--@include unsure
--@include history
--@include instant
--@include opening
--@include pace
local clock = clock_ms()
local count = #ARGV - 1

-- The answer to all of them.
local function each(row)
  local rows = {}
  for i = 1, count do rows[i] = row end
  return rows
end

local mode, standby, identity, opens_at, closes_at, seq, active_max, admit_per_s, admit_burst,
  active_ttl, now_per_s, now_until, so_far, beat_ms, lost_ms, resumed_ms, stepped_back_ms = unpack(
  redis.call('HMGET', room, 'mode', 'standby', 'identity', 'opens_at', 'closes_at', 'seq',
    'active_max', 'admit_per_s', 'admit_burst', 'active_ttl_ms', 'now_per_s', 'now_until',
    'admitted', 'beat_ms', 'lost_ms', 'resumed_ms', 'stepped_back_ms'))
if not mode then return each({'no_room'}) end
if standby ~= 'on' or identity == 'signed' or mode ~= 'open'
  or not admits(mode, opens_at, closes_at, clock) or redis.call('ZCARD', waiting) > 0 then
  return each({'line'})
end
-- A promoted replica reserves slots first; the admitter reports it.
local unsure = take_over(room, clock, ARGV[1] == '1')
if unsure then return each(unsure) end
-- The caller is a worker, so the room is listened to now.
beat_ms, lost_ms = keep_beat(room, clock, clock, {beat_ms, lost_ms, resumed_ms, stepped_back_ms})
local now = listened_ms(clock, beat_ms, lost_ms)
local now_text = string.format('%d', now)

local per_s, burst = pace(admit_per_s, admit_burst, now_per_s)
local tokens, tokens_at = unpack(redis.call('HMGET', rate, 'tokens', 'tokens_at'))
local opened_ms = (instant_ms(opens_at) or 0) + now - clock
if tokens_at and tonumber(tokens_at) < opened_ms then tokens, tokens_at = 0, opened_ms end
if per_s <= 0 then return each({'line'}) end
tokens = math.min(burst, (tokens or 0) + math.max(now - (tokens_at or now), 0) * per_s / 1000)

local before = redis.call('ZCARD', admitted)
local left = math.max((tonumber(now_until) or math.huge) - tonumber(so_far or 0), 0)
local free = math.max(active_max - before - unsure_slots(room, clock), 0)
local due = math.min(count, free, math.floor(tokens), left)
if due <= 0 then
  -- A room that has never been called starts its bucket now.
  if not tokens_at then
    refused_for_memory(redis.pcall('HSET', rate, 'tokens', 0, 'tokens_at', now_text))
  end
  return each({'line'})
end

local expires = now + active_ttl
local expires_text, clock_text = string.format('%d', expires), string.format('%d', clock)
local rows, taken, expiries = {}, {}, {}
for i = 1, count do
  if i <= due then
    local visitor, place = ARGV[i + 1], seq + i
    taken[2 * i - 1] = visitor
    taken[2 * i] = string.format('A|%d|%s|%s|0|%s', place, clock_text, clock_text, expires_text)
    expiries[2 * i - 1], expiries[2 * i] = expires_text, visitor
    rows[i] = {'active', place, clock, clock, 0, expires + clock - now, before}
  else
    rows[i] = {'line'}
  end
end
-- If the store is full, this first write is refused and nothing has changed.
if refused_for_memory(redis.pcall('HSET', slots, unpack(taken))) then return each({'line'}) end
redis.call('ZADD', admitted, unpack(expiries))
redis.call('HSET', room, 'seq', string.format('%d', seq + due))
redis.call('HINCRBY', room, 'entered', due)
redis.call('HINCRBY', room, 'admitted', due)
redis.call('HINCRBY', room, 'activated', due)
-- The admitter's own clock did not measure this time.
redis.call('HSET', rate, 'tokens', tokens - due, 'tokens_at', now_text)
redis.call('HDEL', rate, 'tokens_by')
redis.call('HINCRBY', record, 'w0', due)
redis.call('HSET', record, 'last_place', string.format('%d', seq + due), 'last_at', clock_text)
return rows
