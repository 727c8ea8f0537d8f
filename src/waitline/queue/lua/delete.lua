--[[
delete.lua: delete a room and everything in it. A later room of the same name starts over.

The log of operators' changes is kept for 90 days, so that it shows who deleted the room.

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
  12 changes     stream the log of operators' changes
  13 departed    zset   place -> ms of departure
  14 claims      hash   visitor -> place-joined_ms browser
ARGV
  1 who          str    who deletes it, for the log
  2 force        0|1    whether to delete it with visitors inside
  3 name         str    setting of the room that the log keeps, repeated
RETURNS  one row
  deleted  removed:int
  occupied  waiting:int admitted:int
  no_room

COST  O(1); the memory is freed in the background
]]
local room, waiting, heard, admitted = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local lapsed, slots, rate, streams = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local record, addresses, origins, changes = KEYS[9], KEYS[10], KEYS[11], KEYS[12]
local departed, claims = KEYS[13], KEYS[14]
--@include clock
--@include room_log
-- In s. Sales are reviewed within a quarter; logs of rooms that a program creates and deletes must
-- not accumulate.
local KEPT_S = 90 * 86400
if redis.call('EXISTS', room) == 0 then return {{'no_room'}} end
local waits, holds = redis.call('ZCARD', waiting), redis.call('ZCARD', admitted)
if ARGV[2] == '0' and waits + holds > 0 then return {{'occupied', waits, holds}} end
local before = {waiting = waits, admitted = holds}
for i = 3, #ARGV do
  local value = redis.call('HGET', room, ARGV[i])
  if value and value ~= '' then before[ARGV[i]] = value end
end
-- The removal comes first: a full store refuses a script whose first write needs memory.
redis.call('UNLINK', room, waiting, heard, admitted, lapsed, slots, rate, streams, record,
  addresses, origins, departed, claims)
log_change(changes, clock_ms(), ARGV[1], 'room deleted', before, nil)
redis.call('EXPIRE', changes, KEPT_S)
return {{'deleted', waits + holds}}
