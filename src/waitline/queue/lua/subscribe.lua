--[[
subscribe.lua: take one of a visitor's rights to open a stream, if there is one.

One number per visitor carries the whole allowance: the instant at which it is whole again
(the generic cell rate algorithm). Visitors whose allowance is whole are not stored.

KEYS
  1 streams      zset   visitor -> ms at which the allowance is whole
ARGV
  1 burst        int    rights at most
  2 refill_ms    int    how long one right takes to come back
  3 visitor      str    who asks
RETURNS  one row
  granted
  refused  retry_after_ms:int

COST  O(log N) for N visitors with less than a whole allowance
]]
local streams = KEYS[1]
local burst, refill_ms, visitor = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
--@include clock
local now = clock_ms()

-- At most a hundred a call: each call adds one at most, so the rest goes soon.
local before = string.format('%d', now)
local whole = redis.call('ZRANGE', streams, '-inf', before, 'BYSCORE', 'LIMIT', 0, 100)
if #whole > 0 then redis.call('ZREM', streams, unpack(whole)) end

local whole_at = math.max(tonumber(redis.call('ZSCORE', streams, visitor) or 0), now)
local short_ms = whole_at - now - (burst - 1) * refill_ms
if short_ms > 0 then return {{'refused', short_ms}} end
redis.call('ZADD', streams, string.format('%d', whole_at + refill_ms), visitor)
-- By then everybody's is whole, and nothing is left to store.
redis.call('PEXPIRE', streams, burst * refill_ms)
return {{'granted'}}
