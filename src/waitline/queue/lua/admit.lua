--[[
admit.lua: admit the head of the line: as many as slots and rate allow, at most one chunk.

The rate limit is a token bucket. Deciding and moving are atomic, so the invariants hold for any
number of concurrent callers: nobody is admitted before a lower place (Q3), admitted visitors never
exceed active_max (Q4), admissions never exceed rate and burst (Q5), and a visitor leaves the line
and gets the slot at the same instant (Q6). The lease only saves admitters duplicate work. A visitor
without contact for idle_ms is passed over, and takes neither a slot nor a token; rejoin.lua gives
the place back to one who returns within return_ms.

Silence and expiry count in listening time, which this call advances; while no worker listens,
nobody is admitted (decision 0020). The token bucket fills no faster than the caller's monotonic
clock, so a step of the server's clock adds no tokens (Q5).

The first call after a replica was promoted admits nobody. It reserves as many slots as the lost
history may have given, until their passes have run out (Q4, decision 0041).

A room admits nobody before its opening time or from its closing time on, by the server's clock, so
it opens and closes without an operator.

The decision stored by decide.lua can only lower the room's own limits: the rate, the burst in
proportion, and the total up to which visitors are admitted.

Statistics come last and cannot fail the call: visitors have moved by then, so an error goes to the
server's log. They are the rate, measured only while visitors wait (an empty line says nothing
about the speed of a full one), the recent admissions, for display, and the record of the sale:
waits by length, totals by time, and admissions out of order (decision 0014).

KEYS
  1 room         hash   mode, opens_at, closes_at, active_max, admit_per_s, admit_burst,
                        ready_ttl_ms, idle_ms, return_ms, lease_holder, lease_until, counters,
                        now_per_s, now_until, beat_ms, lost_ms, resumed_ms, stepped_back_ms,
                        history, unsure, unsure_from, unsure_until
  2 waiting      zset   visitor -> place
  3 heard        hash   visitor -> joined_ms[:heard_ms][:returned_ms][;mark]
  4 admitted     zset   visitor -> expires_ms
  5 lapsed       zset   visitor -> lapsed_ms
  6 slots        hash   visitor -> slot
  7 rate         hash   the token bucket, and the measured rate
  8 record       hash   the record of the sale
ARGV
  1 holder       str    name of the caller; empty: without a lease
  2 lease_ms     int    duration of the lease
  3 chunk_max    int    most visitors to move, 1 to 250
  4 heard_ms     int    when a worker last listened, by the server's clock; 0 if unknown
  5 mono_ms      int    the caller's monotonic clock; 0 if unknown
  6 confirmed    int    1 if callers confirm each chunk on a replica before the next, else 0
RETURNS  one row
  moved    admitted:int passed:int waiting:int free:int due:int
  leased   remaining_ms:int
  held     opens_in_ms:int
  unsure   slots:int for_ms:int
  no_room

COST  O(c log N) for a chunk of c and N in the room
]]
local room, waiting, heard = KEYS[1], KEYS[2], KEYS[3]
local admitted, lapsed, slots, rate = KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local record = KEYS[8]
local holder, lease_ms, chunk_max = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local heard_ms, mono_ms, confirmed = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6] == '1'
--@include clock
--@include listening
--@include full
--@include clocks_apart
--@include beat
--@include unsure
--@include history
--@include heard
--@include instant
--@include opening
--@include pace
local clock = clock_ms()
local clock_text = string.format('%d', clock)

local beat_ms, lost_ms, resumed_ms, stepped_back_ms, mode, active_max, admit_per_s, admit_burst,
  ready_ttl, idle, lease_holder, lease_until, now_per_s, now_until, so_far, opens_at, closes_at,
  return_ms =
  unpack(redis.call('HMGET', room, 'beat_ms', 'lost_ms', 'resumed_ms', 'stepped_back_ms', 'mode',
    'active_max', 'admit_per_s', 'admit_burst', 'ready_ttl_ms', 'idle_ms', 'lease_holder',
    'lease_until', 'now_per_s', 'now_until', 'admitted', 'opens_at', 'closes_at',
    'return_ms'))
if not mode then return {{'no_room'}} end
local unsure = take_over(room, clock, confirmed)
if unsure then return {unsure} end
beat_ms, lost_ms, resumed_ms = keep_beat(room, clock, heard_ms,
  {beat_ms, lost_ms, resumed_ms, stepped_back_ms})
local now = listened_ms(clock, beat_ms, lost_ms)
local now_text = string.format('%d', now)
local opened_ms = instant_ms(opens_at) or 0

-- Nobody is admitted. The bucket is emptied and stops, so a pause accumulates no admissions (Q5).
local function held()
  redis.call('HDEL', rate, 'tokens', 'tokens_at')
  return {{'held', math.max(opened_ms - clock, 0)}}
end

-- No worker listens, so no visitor could use an admission.
if beat_ms and clock - beat_ms > BEAT_GAP_MAX then return held() end
-- The server's clock opens and closes the room, whichever admitter calls.
if not admits(mode, opens_at, closes_at, clock) then return held() end

-- Decide how many may be admitted. The stored decision only ever lowers the room's own limits.
local per_s, burst = pace(admit_per_s, admit_burst, now_per_s)
if per_s <= 0 then return held() end
local left = math.max((tonumber(now_until) or math.huge) - tonumber(so_far or 0), 0)

local tokens, tokens_at, tokens_by, tokens_mono, count, since, mean, variance, samples,
  recent, recent_at, recent_from = unpack(
  redis.call('HMGET', rate, 'tokens', 'tokens_at', 'tokens_by', 'tokens_mono', 'count', 'since',
    'mean', 'variance', 'samples', 'recent', 'recent_at', 'recent_from'))
-- Time before the opening adds no tokens.
opened_ms = opened_ms + now - clock
if tokens_at and tonumber(tokens_at) < opened_ms then tokens, tokens_at = 0, opened_ms end
local measured = mono_ms > 0 and tokens_by == holder and mono_ms >= tonumber(tokens_mono)

-- Time since the tokens were counted.
local function filled_ms()
  local gone = now - (tokens_at or now)
  -- The server's clock may have been set forward, or a call may have taken long.
  if measured then return math.max(math.min(gone, mono_ms - tokens_mono), 0) end
  -- Another caller counted them, so a step of the clock in between is not measured.
  if mono_ms > 0 and tokens_by then gone = gone - BEAT_GAP_MAX end
  return math.max(gone, 0)
end

tokens = math.min(burst, (tokens or 0) + filled_ms() * per_s / 1000)

local total = redis.call('ZCARD', waiting)
local free = math.max(active_max - redis.call('ZCARD', admitted) - unsure_slots(room, clock), 0)
local stopped = not tokens_at
if total == 0 then
  if stopped then
    refused_for_memory(redis.pcall('HSET', rate, 'tokens', 0, 'tokens_at', now_text))
  end
  return {{'moved', 0, 0, 0, free, math.floor(math.min(tokens, left))}}
end

-- Remaining time of another admitter's lease; 0 if there is none.
local function leased_ms()
  if holder == '' or lease_holder == holder then return 0 end
  local remaining = tonumber(lease_until or 0) - now
  -- A lease with more time left than possible was taken before the clock was set back. Its holder
  -- may be dead, and the room would stop until the clock has caught up.
  return remaining <= lease_ms + BEAT_GAP_MAX and math.max(remaining, 0) or 0
end

local remaining = leased_ms()
if remaining > 0 then
  refused_for_memory(redis.pcall('HINCRBY', room, 'lease_refused', 1))
  return {{'leased', remaining}}
end

-- Move them.
local moved, passed = 0, 0
-- Places and times of joining of the admitted, in the order of the line.
local places, joins = {}, {}
-- Times of return of those who had been passed over before.
local returns = {}

-- Split the popped visitors into admitted and passed over, and return what to write.
local function sort_turns(popped, visitors, marks)
  local silent_ms = tonumber(idle) * 17 / 16
  local expires = string.format('%d', now + ready_ttl)
  local as_ready = '|' .. clock_text .. '|0|' .. expires
  local as_passed = '|' .. clock_text .. '|0|' .. clock_text
  -- Until when they can return; a room of an earlier version has the default.
  local until_text = string.format('%d', now + (return_ms or 600000))
  local from = tonumber(resumed_ms or 0)
  local taken, expiries, lapses = {}, {}, {}
  for i, visitor in ipairs(visitors) do
    local joined, last, returned, mark = string.match(marks[i], HEARD)
    if last == '' then last = joined end
    taken[2 * i - 1] = visitor
    if silent_ms > 0 and now - math.max(last, from) > silent_ms then
      taken[2 * i] = 'P|' .. popped[2 * i] .. '|' .. joined .. as_passed .. mark
      lapses[2 * passed + 1], lapses[2 * passed + 2] = until_text, visitor
      passed = passed + 1
    else
      taken[2 * i] = 'R|' .. popped[2 * i] .. '|' .. joined .. as_ready .. mark
      expiries[2 * moved + 1], expiries[2 * moved + 2] = expires, visitor
      moved = moved + 1
      places[moved], joins[moved] = popped[2 * i], joined
      if returned ~= '' then returns[moved] = returned end
    end
  end
  return taken, expiries, lapses
end

local function move(visitors_max)
  -- The removal comes first: a full store refuses a script whose first write needs memory. After
  -- the first write no other is refused, so no visitor is lost.
  local popped = redis.call('ZPOPMIN', waiting, visitors_max)
  local visitors = {}
  for i = 1, #popped, 2 do visitors[#visitors + 1] = popped[i] end
  local marks = redis.call('HMGET', heard, unpack(visitors))
  local taken, expiries, lapses = sort_turns(popped, visitors, marks)
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
end

local due = math.min(chunk_max, free, math.floor(tokens), left)
if due > 0 then move(due) end
total = total - moved - passed

-- A full store refuses these two writes if no visitor has moved; then they do not matter.
if moved > 0 or stopped or now < tonumber(tokens_at) or mono_ms > 0 and not measured then
  refused_for_memory(redis.pcall('HSET', rate, 'tokens', tokens - moved, 'tokens_at', now_text,
    'tokens_by', holder, 'tokens_mono', string.format('%d', mono_ms)))
end
if holder ~= '' and (lease_holder ~= holder or lease_until - now < lease_ms / 2) then
  refused_for_memory(redis.pcall('HSET', room, 'lease_holder', holder,
    'lease_until', string.format('%d', now + lease_ms)))
end

-- Statistics: from here on nothing can fail the call.

-- The histogram bucket of a wait, and its bounds. A wait of w >= 1 seconds is in bucket
-- 1 + floor(4 log2 w): four buckets per doubling.
local function bucket_of(wait)
  if wait < 1000 then return 0, -math.huge, 1000 end
  local bucket = math.min(1 + math.floor(4 * math.log(wait / 1000) / math.log(2)), 65)
  return bucket, 1000 * 2 ^ ((bucket - 1) / 4), 1000 * 2 ^ (bucket / 4)
end

-- Waits by bucket, their sum, and the longest.
local function count_waits()
  local waits, waited, longest = {}, 0, 0
  -- Visitors admitted together mostly joined together, so most share their predecessor's bucket.
  local bucket, low, high, from = 0, -math.huge, 1000, 1
  for i = 1, moved do
    -- Arithmetic converts text to a number in half the time of tonumber().
    local wait = clock - joins[i]
    if wait < low or wait >= high then
      waits[bucket], from = (waits[bucket] or 0) + i - from, i
      bucket, low, high = bucket_of(wait)
    end
    -- A clock that was set back must not add a negative wait.
    if wait > 0 then waited = waited + wait end
    if wait > longest then longest = wait end
  end
  waits[bucket] = (waits[bucket] or 0) + moved + 1 - from
  return waits, waited, longest
end

-- The highest place admitted and when, and how many visitors were overtaken (Q3): they were already
-- waiting when a higher place was admitted. One who was passed over waits again from the return on.
local function count_overtaken(last, last_at)
  local overtaken = 0
  for i = 1, moved do
    local ahead = places[i] - last
    if ahead > 0 then
      last, last_at = last + ahead, clock
    elseif (returns[i] or joins[i]) - last_at < 0 then
      overtaken = overtaken + 1
    end
  end
  return last, last_at, overtaken
end

-- Ring buffer: the totals of every ten seconds are kept for four hours.
local function keep_record()
  local last, last_at, longest_before =
    unpack(redis.call('HMGET', record, 'last_place', 'last_at', 'longest_ms'))
  local waits, waited, longest = count_waits()
  local overtaken
  last, last_at, overtaken = count_overtaken(tonumber(last or 0), tonumber(last_at or 0))
  longest = math.max(longest, longest_before or 0)
  local entered, turns_so_far = unpack(redis.call('HMGET', room, 'entered', 'admitted'))
  local step = math.floor(clock / 10000)
  redis.call('HSET', record, 'last_place', string.format('%d', last),
    'last_at', string.format('%d', last_at), 'longest_ms', string.format('%d', longest),
    's' .. step % 1440, string.format('%d:%d:%d:%d:%d', step, entered, turns_so_far, total,
      redis.call('ZCARD', admitted)))
  redis.call('HINCRBY', record, 'waited_ms', string.format('%d', waited))
  for bucket, times in pairs(waits) do
    if times > 0 then redis.call('HINCRBY', record, 'w' .. bucket, times) end
  end
  if overtaken > 0 then redis.call('HINCRBY', room, 'overtaken', overtaken) end
end

-- Exponential smoothing over about 30 s; the first samples have equal weight.
local function smoothed(sample, elapsed)
  local number = math.min((samples or 0) + 1, 60)
  local weight = math.max(1 - math.exp(-elapsed / 30000), 1 / number)
  local off = sample - (mean or 0)
  return (mean or 0) + weight * off, (1 - weight) * ((variance or 0) + weight * off * off), number
end

-- A full store refuses this write if nobody was admitted; then nothing is measured.
local function keep_rate(...)
  refused_for_memory(redis.pcall('HSET', rate, ...))
end

local function measure_rate()
  local elapsed, admitted_since = now - (since or now), (count or 0) + moved
  if not since or elapsed < 0 or elapsed > 5000 then
    -- First call, or a gap without waiting visitors or calls: start a new measurement.
    keep_rate('since', now_text, 'count', moved)
  elseif elapsed >= 1000 then
    local sample = admitted_since * 1000 / elapsed
    keep_rate('since', now_text, 'count', 0, 'last', sample, 'last_at', now_text)
    if total > 0 then
      local mean_now, variance_now, samples_now = smoothed(sample, elapsed)
      keep_rate('mean', mean_now, 'variance', variance_now, 'samples', samples_now)
    end
  elseif moved > 0 then
    keep_rate('count', admitted_since)
  end
end

-- Admissions weighted by e^(-age / 30 s), whether anybody waits or not, in the server's time. After
-- a pause in which they have decayed, the count restarts, so that it shows the new rate at once.
local RECENT_MS = 30000
local function count_recent()
  local gone = clock - (recent_at or clock)
  if not recent or gone < 0 or gone > 3 * RECENT_MS then
    recent, recent_from, gone = 0, clock_text, 0
  end
  redis.call('HSET', rate, 'recent', recent * math.exp(-gone / RECENT_MS) + moved,
    'recent_at', clock_text, 'recent_from', recent_from)
end

local function guarded(what, step)
  local done, problem = pcall(step)
  if not done then
    redis.log(redis.LOG_WARNING, 'admit.lua: ' .. what .. ' of ' .. room .. ' is not kept: '
      .. tostring(type(problem) == 'table' and problem.err or problem))
  end
end

if moved > 0 then guarded('the record', keep_record) end
if moved > 0 then guarded('the recent admissions', count_recent) end
guarded('the rate', measure_rate)
return {{'moved', moved, passed, total, free - moved,
  math.floor(math.min(tokens, left) - moved)}}
