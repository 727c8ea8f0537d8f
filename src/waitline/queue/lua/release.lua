--[[
release.lua: give up the lease of a room, so that another admitter need not wait for its end.

KEYS
  1 room         hash   lease_holder, lease_until
ARGV
  1 holder       str    name of the caller
RETURNS  one row
  released
  others

COST  O(1)
]]
local room = KEYS[1]
local holder = ARGV[1]
if redis.call('HGET', room, 'lease_holder') ~= holder then return {{'others'}} end
redis.call('HDEL', room, 'lease_holder', 'lease_until')
return {{'released'}}
