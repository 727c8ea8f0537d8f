--[[
sweep.lua: free expired slots, and forget visitors who lapsed long ago.

A visitor moves from admitted to lapsed in one step: the slot is free for the next one, and status
answers `expired`. Visitors who never activated are also counted as no-shows. Slots expire in
listening time, which this call advances (decision 0020). A slot that was given before an uncertain
failover still counts for as long as its pass may run (decision 0041).

KEYS
  1 room         hash   mode, beat_ms, lost_ms, resumed_ms, stepped_back_ms, counters, limits,
                        history, unsure, unsure_from, unsure_until
  2 admitted     zset   visitor -> expires_ms
  3 lapsed       zset   visitor -> lapsed_ms
  4 slots        hash   visitor -> slot
ARGV
  1 chunk_max    int    most slots to free, and most visitors to forget, 1 to 250
  2 kept_ms      int    how long a lapsed visitor is remembered
  3 lapsed_max   int    most lapsed visitors that are remembered
  4 heard_ms     int    when a worker last listened, by the server's clock; 0 if unknown
  5 confirmed    int    as in admit.lua
RETURNS  one row
  swept    lapsed:int forgotten:int more:int
  unsure   slots:int for_ms:int

COST  O(c log A) for a chunk of c and A admitted
]]
local room, admitted, lapsed, slots = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local chunk_max, kept_ms, lapsed_max = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
--@include clock
--@include listening
--@include full
--@include clocks_apart
--@include beat
--@include unsure
--@include count_unsure
--@include history
local clock = clock_ms()
local fields = redis.call('HMGET', room,
  'beat_ms', 'lost_ms', 'resumed_ms', 'stepped_back_ms', 'mode')
-- The room was deleted in the meantime: a beat would create its key again.
if not fields[5] then return {{'swept', 0, 0, 0}} end
local unsure = take_over(room, clock, ARGV[5] == '1')
if unsure then return {unsure} end
local beat_ms, lost_ms = keep_beat(room, clock, tonumber(ARGV[4]), fields)
local now = listened_ms(clock, beat_ms, lost_ms)
local now_text = string.format('%d', now)

local over = redis.call('ZRANGE', admitted, '-inf', now_text, 'BYSCORE', 'LIMIT', 0, chunk_max)
if #over > 0 then
  local held = redis.call('HMGET', slots, unpack(over))
  local lapses, ended = {}, {}
  local no_shows = 0
  for i, visitor in ipairs(over) do
    local n = #lapses
    lapses[n + 1], lapses[n + 2] = now_text, visitor
    -- Store the state, and the time of expiry in the server's time, so that later outages do not
    -- move it.
    local numbers, expires = string.match(held[i], '^%a(|%d+|%d+|%d+|%d+|)(%d+)')
    ended[n + 1] = visitor
    ended[n + 2] = 'L' .. numbers .. string.format('%d', expires + clock - now)
    if string.sub(held[i], 1, 1) == 'R' then no_shows = no_shows + 1 end
  end
  redis.call('ZREM', admitted, unpack(over))
  redis.call('ZADD', lapsed, unpack(lapses))
  redis.call('HSET', slots, unpack(ended))
  redis.call('HINCRBY', room, 'lapsed', #over)
  count_unsure(room, clock, held)
  if no_shows > 0 then redis.call('HINCRBY', room, 'no_shows', no_shows) end
end

local too_many = math.min(redis.call('ZCARD', lapsed) - lapsed_max, chunk_max)
local old
if too_many > 0 then
  old = redis.call('ZRANGE', lapsed, 0, too_many - 1)
else
  local before = string.format('%d', now - kept_ms)
  old = redis.call('ZRANGE', lapsed, '-inf', before, 'BYSCORE', 'LIMIT', 0, chunk_max)
end
if #old > 0 then
  redis.call('ZREM', lapsed, unpack(old))
  redis.call('HDEL', slots, unpack(old))
end
local more = #over == chunk_max or #old == chunk_max
return {{'swept', #over, #old, more and 1 or 0}}
