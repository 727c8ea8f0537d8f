--[[
decide.lua: store how a room admits for now, unless another has been stored meanwhile.

Compare and set: the caller names the decision that it started from. Of two callers with the same
one, the second is late and changes nothing, so no step of the rate is made twice. The room's own
limits hold whatever is stored (Q4, Q5): admit.lua takes the lower of the two.

KEYS
  1 room         hash   now_reason, now_per_s, now_until, now_basis, now_ms
ARGV
  1 before_ms    int    now_ms as the caller has read it; 0 for none
  2 reason       str    why
  3 per_s        num    admissions per second, at most
  4 until        int    how many may have been admitted in all; empty for any
  5 basis        str    what it rests on, for the next decision and for people
RETURNS  one row
  decided  now_ms:int
  late
  no_room

COST  O(1)
]]
local room = KEYS[1]
local before = tonumber(ARGV[1])
--@include clock
local now = clock_ms()
local mode, noted = unpack(redis.call('HMGET', room, 'mode', 'now_ms'))
if not mode then return {{'no_room'}} end
if tonumber(noted or 0) ~= before then return {{'late'}} end
-- Two decisions within a millisecond are still two.
if now == before then now = now + 1 end
-- The removal comes first: a full store refuses a script's first write if it needs memory, and it
-- must be possible to stop admission there too.
redis.call('HDEL', room, 'now_basis')
redis.call('HSET', room, 'now_reason', ARGV[2], 'now_per_s', ARGV[3], 'now_until', ARGV[4],
  'now_basis', ARGV[5], 'now_ms', string.format('%d', now))
return {{'decided', now}}
