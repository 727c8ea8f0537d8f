--[[
reset.lua: remove all visitors from a room, and log it. Rules, totals, the record of the sale and
the last place given stay (Q2).

KEYS
  1 room         hash   beat_ms, lost_ms, counters
  2 waiting      zset   visitor -> place
  3 heard        hash   visitor -> joined_ms[:heard_ms][:returned_ms][;mark]
  4 admitted     zset   visitor -> expires_ms
  5 lapsed       zset   visitor -> lapsed_ms
  6 slots        hash   visitor -> slot
  7 rate         hash   the token bucket, and the measured rate
  8 streams      zset   visitor -> ms at which the allowance is full
  9 origins      zset   network, address and visitor of each place
  10 changes     stream the log of operators' changes
ARGV
  1 who          str    who resets it, for the log
RETURNS  one row
  emptied  removed:int
  no_room

COST  O(1); the memory is freed in the background
]]
local room, waiting, heard, admitted = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local lapsed, slots, rate, streams = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local origins, changes = KEYS[9], KEYS[10]
--@include clock
--@include listening
--@include room_log
local clock = clock_ms()
if redis.call('EXISTS', room) == 0 then return {{'no_room'}} end
local now = listened_ms(clock, unpack(redis.call('HMGET', room, 'beat_ms', 'lost_ms')))
local waits, holds = redis.call('ZCARD', waiting), redis.call('ZCARD', admitted)
redis.call('UNLINK', waiting, heard, admitted, lapsed, slots, rate, streams, origins)
redis.call('HSET', rate, 'tokens', 0, 'tokens_at', string.format('%d', now))
redis.call('HINCRBY', room, 'removed', waits + holds)
log_change(changes, clock, ARGV[1], 'room reset', {waiting = waits, admitted = holds},
  {waiting = 0, admitted = 0})
return {{'emptied', waits + holds}}
