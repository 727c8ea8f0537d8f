--[[
subscribe.lua: rate limit of opening streams, per visitor.

Generic cell rate algorithm: one number per visitor, the instant at which the allowance is full
again. Visitors with a full allowance are not stored.

KEYS
  1 streams      zset   visitor -> ms at which the allowance is full
ARGV
  1 burst        int    most openings in a burst
  2 refill_ms    int    time in which one more is allowed
  3 visitor      str    who opens a stream
RETURNS  one row
  granted
  refused  retry_after_ms:int

COST  O(log N) for N visitors with less than a full allowance
]]
local streams = KEYS[1]
local burst, refill_ms, visitor = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
--@include clock
local now = clock_ms()

-- At most a hundred per call: each call adds at most one, so the rest is removed soon.
local before = string.format('%d', now)
local whole = redis.call('ZRANGE', streams, '-inf', before, 'BYSCORE', 'LIMIT', 0, 100)
if #whole > 0 then redis.call('ZREM', streams, unpack(whole)) end

local whole_at = math.max(tonumber(redis.call('ZSCORE', streams, visitor) or 0), now)
-- No allowance takes longer to fill; a later time was stored before the clock was set back.
if whole_at - now > burst * refill_ms then whole_at = now end
local short_ms = whole_at - now - (burst - 1) * refill_ms
if short_ms > 0 then return {{'refused', short_ms}} end
redis.call('ZADD', streams, string.format('%d', whole_at + refill_ms), visitor)
-- By then every allowance is full, so the key can expire.
redis.call('PEXPIRE', streams, burst * refill_ms)
return {{'granted'}}
