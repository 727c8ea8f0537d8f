--[[
decide.lua: compare-and-set the admission decision of a room.

The caller names the decision that it started from. Of two callers that started from the same one,
the second is late and changes nothing, so no step of the rate is taken twice. The room's own limits
hold whatever is stored (Q4, Q5): admit.lua takes the lower of the two. A room that admits visitors
again begins with an empty token bucket.

KEYS
  1 room         hash   mode, now_reason, now_per_s, now_until, now_basis, now_ms, beat_ms, lost_ms
  2 rate         hash   the token bucket
ARGV
  1 before_ms    int    now_ms as the caller has read it; 0 for none
  2 reason       str    why
  3 per_s        num    most admissions per second
  4 until        int    total of admissions at which admission stops; empty for no limit
  5 basis        str    its inputs, for the next decision and for display
RETURNS  one row
  decided  now_ms:int
  late
  no_room

COST  O(1)
]]
local room, rate = KEYS[1], KEYS[2]
local before = tonumber(ARGV[1])
--@include clock
--@include listening
local clock = clock_ms()
local now = clock
local mode, stored_ms, per_s, beat_ms, lost_ms =
  unpack(redis.call('HMGET', room, 'mode', 'now_ms', 'now_per_s', 'beat_ms', 'lost_ms'))
if not mode then return {{'no_room'}} end
if tonumber(stored_ms or 0) ~= before then return {{'late'}} end
-- Two decisions within one millisecond must have different times.
if now == before then now = now + 1 end
-- The removal comes first: a full store refuses a script whose first write needs memory, and it
-- must be possible to stop admission in a full store too.
redis.call('HDEL', room, 'now_basis')
redis.call('HSET', room, 'now_reason', ARGV[2], 'now_per_s', ARGV[3], 'now_until', ARGV[4],
  'now_basis', ARGV[5], 'now_ms', string.format('%d', now))
if per_s and tonumber(per_s) <= 0 and tonumber(ARGV[3]) > 0 then
  redis.call('HSET', rate, 'tokens', 0,
    'tokens_at', string.format('%d', listened_ms(clock, beat_ms, lost_ms)))
end
return {{'decided', now}}
