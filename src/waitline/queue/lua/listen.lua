--[[
listen.lua: record that a worker of the queue service listens to visitors now.

The admitter passes the time on to every room that it visits (decision 0020).

KEYS
  1 listening    str    when a worker last listened
RETURNS  one row
  heard

COST  O(1)
]]
local listening = KEYS[1]
--@include clock
-- The removal comes first: a full store refuses a script whose first write needs memory.
redis.call('DEL', listening)
redis.call('SET', listening, string.format('%d', clock_ms()))
return {{'heard'}}
