--[[
admit.lua: let the next of the line in: as many as slots and rate allow, at most one chunk.

It decides and moves in one step, so it is right whoever calls it and however many call at once:
nobody is admitted before a lower place (Q3), admitted visitors never exceed active_max (Q4), nor
admissions the rate and burst (Q5), and a visitor leaves the line in the same instant in which
the slot is there (Q6). The lease only spares admitters double work. Whoever was silent for
idle_ms is passed over, and takes neither a slot nor a share of the rate.

What was decided for now from the shop's reports (decide.lua) can only lower the room's own limits:
the rate, with the burst in proportion, and the total up to which visitors are admitted at all.

The rate is measured here too, in seconds during which somebody waited: how fast an empty line
empties says nothing of how fast a full one will. And what a sale is judged by afterwards is kept:
waits by their length, totals by time, and turns out of order (decision 0014).

KEYS
  1 room         hash   mode, active_max, admit_per_s, admit_burst, ready_ttl_ms, idle_ms,
                        lease_holder, lease_until, counters, now_per_s, now_until
  2 waiting      zset   visitor -> place
  3 heard        hash   visitor -> joined_ms:heard_ms
  4 admitted     zset   visitor -> expires_ms
  5 lapsed       zset   visitor -> lapsed_ms
  6 slots        hash   visitor -> slot
  7 rate         hash   the admission bucket, and what was measured
  8 record       hash   what is kept of the sale
ARGV
  1 holder       str    who calls; empty: without a lease
  2 lease_ms     int    for how long the room is the caller's
  3 chunk_max    int    most visitors to move, 1 to 250
RETURNS  one row
  moved    admitted:int passed:int waiting:int free:int due:int
  leased   remaining_ms:int
  held
  no_room

COST  O(c log N) for a chunk of c and N in the room
]]
local room, waiting, heard = KEYS[1], KEYS[2], KEYS[3]
local admitted, lapsed, slots, rate = KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local record = KEYS[8]
local holder, lease_ms, chunk_max = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
--@include clock
--@include heard
local now = clock_ms()
local now_text = string.format('%d', now)

local mode, active_max, per_s, burst, ready_ttl, idle, lease_holder, lease_until, now_per_s,
  now_until, so_far = unpack(redis.call('HMGET', room, 'mode', 'active_max', 'admit_per_s',
    'admit_burst', 'ready_ttl_ms', 'idle_ms', 'lease_holder', 'lease_until', 'now_per_s',
    'now_until', 'admitted'))
if not mode then return {{'no_room'}} end
if mode ~= 'open' and mode ~= 'draining' then return {{'held'}} end
-- Only ever lower than the operator's own.
local pace = math.min(tonumber(per_s), tonumber(now_per_s) or math.huge)
if pace <= 0 then return {{'held'}} end
if pace < tonumber(per_s) then burst = math.max(1, burst * pace / per_s) end
local left = math.max((tonumber(now_until) or math.huge) - tonumber(so_far or 0), 0)

local total = redis.call('ZCARD', waiting)
local free = math.max(active_max - redis.call('ZCARD', admitted), 0)
local tokens, tokens_at, count, since, mean, variance, samples = unpack(
  redis.call('HMGET', rate, 'tokens', 'tokens_at', 'count', 'since', 'mean', 'variance', 'samples'))
-- A clock that was set back must not take tokens away, nor give any.
local gone = math.max(now - (tokens_at or now), 0)
tokens = math.min(burst, (tokens or 0) + gone * pace / 1000)
if total == 0 then return {{'moved', 0, 0, 0, free, math.floor(math.min(tokens, left))}} end

if holder ~= '' then
  local remaining = tonumber(lease_until or 0) - now
  -- One that would last longer than a lease is from before the clock was set back. Its holder may
  -- be dead, and the room would stand still until the clock has caught up.
  if lease_holder ~= holder and remaining > 0 and remaining <= lease_ms then
    redis.pcall('HINCRBY', room, 'lease_refused', 1)
    return {{'leased', remaining}}
  end
end

-- Whoever has a lower place than somebody admitted before, and was waiting by then, has been
-- overtaken (Q3). A wait of w seconds, from 1 on, is in bucket 1 + floor(4 log2 w): four for each
-- doubling. The totals at the end of every ten seconds are kept for four hours.
local function keep(places, joins, waiting_now)
  local last, last_at, longest =
    unpack(redis.call('HMGET', record, 'last_place', 'last_at', 'longest_ms'))
  last, last_at, longest = tonumber(last or 0), tonumber(last_at or 0), tonumber(longest or 0)
  local waits, waited, overtaken = {}, 0, 0
  -- Those who are admitted together came together: most are in the bucket of the one before.
  local bucket, low, high, from = 0, 0, 0, 1
  for i = 1, #places do
    -- What is text becomes a number by being reckoned with, which takes half as long as a call.
    local wait, ahead = now - joins[i], places[i] - last
    if wait < low or wait >= high then
      waits[bucket], from = (waits[bucket] or 0) + i - from, i
      bucket, low, high = 0, -math.huge, 1000
      if wait >= 1000 then
        bucket = math.min(1 + math.floor(4 * math.log(wait / 1000) / math.log(2)), 65)
        low, high = 1000 * 2 ^ ((bucket - 1) / 4), 1000 * 2 ^ (bucket / 4)
      end
    end
    -- A clock that was set back makes no wait negative.
    if wait > 0 then waited = waited + wait end
    if wait > longest then longest = wait end
    if ahead > 0 then
      last, last_at = last + ahead, now
    elseif now - wait < last_at then
      overtaken = overtaken + 1
    end
  end
  waits[bucket] = (waits[bucket] or 0) + #places + 1 - from
  local entered, turns = unpack(redis.call('HMGET', room, 'entered', 'admitted'))
  local step = math.floor(now / 10000)
  redis.call('HSET', record, 'last_place', string.format('%d', last),
    'last_at', string.format('%d', last_at), 'longest_ms', string.format('%d', longest),
    's' .. step % 1440, string.format('%d:%d:%d:%d:%d', step, entered, turns, waiting_now,
      redis.call('ZCARD', admitted)))
  redis.call('HINCRBY', record, 'waited_ms', string.format('%d', waited))
  for number, times in pairs(waits) do
    if times > 0 then redis.call('HINCRBY', record, 'w' .. number, times) end
  end
  if overtaken > 0 then redis.call('HINCRBY', room, 'overtaken', overtaken) end
end

local due = math.min(chunk_max, free, math.floor(tokens), left)
local moved, passed = 0, 0
if due > 0 then
  -- The removal comes first: a full store refuses a script's first write if it needs memory,
  -- and then it would be too late to put anybody back.
  local popped = redis.call('ZPOPMIN', waiting, due)
  local visitors = {}
  for i = 1, #popped, 2 do visitors[#visitors + 1] = popped[i] end
  local marks = redis.call('HMGET', heard, unpack(visitors))
  local silent_ms = tonumber(idle) * 17 / 16
  local expires = string.format('%d', now + ready_ttl)
  local as_ready = '|' .. now_text .. '|0|' .. expires
  local as_passed = '|' .. now_text .. '|0|' .. now_text
  local taken, expiries, lapses = {}, {}, {}
  local places, joins = {}, {}
  for i, visitor in ipairs(visitors) do
    local joined, last = string.match(marks[i], HEARD)
    taken[2 * i - 1] = visitor
    if silent_ms > 0 and now - last > silent_ms then
      taken[2 * i] = 'P|' .. popped[2 * i] .. '|' .. joined .. as_passed
      lapses[2 * passed + 1], lapses[2 * passed + 2] = now_text, visitor
      passed = passed + 1
    else
      taken[2 * i] = 'R|' .. popped[2 * i] .. '|' .. joined .. as_ready
      expiries[2 * moved + 1], expiries[2 * moved + 2] = expires, visitor
      moved = moved + 1
      places[moved], joins[moved] = popped[2 * i], joined
    end
  end
  redis.call('HDEL', heard, unpack(visitors))
  redis.call('HSET', slots, unpack(taken))
  if moved > 0 then
    redis.call('ZADD', admitted, unpack(expiries))
    redis.call('HINCRBY', room, 'admitted', moved)
  end
  if passed > 0 then
    redis.call('ZADD', lapsed, unpack(lapses))
    redis.call('HINCRBY', room, 'passed', passed)
  end
  total = total - moved - passed
  if moved > 0 then keep(places, joins, total) end
end

if holder ~= '' and (lease_holder ~= holder or lease_until - now < lease_ms / 2) then
  redis.pcall('HSET', room, 'lease_holder', holder,
    'lease_until', string.format('%d', now + lease_ms))
end

count = (count or 0) + moved
local elapsed = now - (since or now)
local measured = {}
local function note(name, value)
  measured[#measured + 1], measured[#measured + 2] = name, value
end
if not since or elapsed < 0 or elapsed > 5000 then
  -- Nobody waited, or nobody admitted: there was nothing to measure.
  note('since', now_text)
  note('count', moved)
elseif elapsed >= 1000 then
  local sample = count * 1000 / elapsed
  note('since', now_text)
  note('count', 0)
  note('last', sample)
  note('last_at', now_text)
  if total > 0 then
    -- Exponential smoothing over about 30 s; the first samples count equally.
    samples = math.min((samples or 0) + 1, 60)
    local weight = math.max(1 - math.exp(-elapsed / 30000), 1 / samples)
    local off = sample - (mean or 0)
    note('mean', (mean or 0) + weight * off)
    note('variance', (1 - weight) * ((variance or 0) + weight * off * off))
    note('samples', samples)
  end
elseif moved > 0 then
  note('count', count)
end
if moved > 0 or now < tonumber(tokens_at or 0) then
  note('tokens', tokens - moved)
  note('tokens_at', now_text)
end
if #measured > 0 then redis.pcall('HSET', rate, unpack(measured)) end
return {{'moved', moved, passed, total, free - moved,
  math.floor(math.min(tokens, left) - moved)}}
