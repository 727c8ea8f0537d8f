--[[
delete.lua: delete a room and everything in it. A later room of the same name starts anew.

KEYS
  1 room         hash   rules, counters
  2 waiting      zset   visitor -> place
  3 heard        hash   visitor -> joined_ms[:heard_ms][;mark]
  4 admitted     zset   visitor -> expires_ms
  5 lapsed       zset   visitor -> lapsed_ms
  6 slots        hash   visitor -> slot
  7 rate         hash   the token bucket, and the measured rate
  8 streams      zset   visitor -> ms at which the allowance is full
  9 record       hash   the record of the sale
  10 addresses   hash   address -> counts
  11 origins     zset   network, address and visitor of each place
ARGV
  1 force        0|1    whether to delete it with visitors inside
RETURNS  one row
  deleted  removed:int
  occupied  waiting:int admitted:int
  no_room

COST  O(1); the memory is freed in the background
]]
local room, waiting, heard, admitted = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local lapsed, slots, rate, streams = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local record, addresses, origins = KEYS[9], KEYS[10], KEYS[11]
if redis.call('EXISTS', room) == 0 then return {{'no_room'}} end
local waits, holds = redis.call('ZCARD', waiting), redis.call('ZCARD', admitted)
if ARGV[1] == '0' and waits + holds > 0 then return {{'occupied', waits, holds}} end
redis.call('UNLINK', room, waiting, heard, admitted, lapsed, slots, rate, streams, record,
  addresses, origins)
return {{'deleted', waits + holds}}
