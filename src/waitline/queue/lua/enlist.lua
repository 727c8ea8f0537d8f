--[[
enlist.lua: show that an admitter works, and list all that do.

An admitter that has not enlisted for gone_ms is gone, and so is one whose time is in the future:
the clock was set back, and its next call corrects it.

KEYS
  1 admitters    zset   name -> ms of the last call
ARGV
  1 name         str    of the caller
  2 gone_ms      int    how long an admitter counts after its last call
RETURNS  one row
  admitters  name:str, repeated; without the caller if the server is full

COST  O(n) for n admitters
]]
local admitters = KEYS[1]
local name, gone_ms = ARGV[1], tonumber(ARGV[2])
--@include clock
--@include full
local clock = clock_ms()
-- The removals come first: a full store refuses a script whose first write needs memory.
redis.call('ZREMRANGEBYSCORE', admitters, '-inf', string.format('%d', clock - gone_ms))
redis.call('ZREMRANGEBYSCORE', admitters, string.format('(%d', clock), '+inf')
refused_for_memory(redis.pcall('ZADD', admitters, string.format('%d', clock), name))
return {{'admitters', unpack(redis.call('ZRANGE', admitters, 0, 999))}}
