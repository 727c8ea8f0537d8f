--[[
held.lua: count the places that addresses hold now, for an operator.

Up to 200 recorded places of each address or network are checked; those that have ended are dropped.

KEYS
  1 waiting      zset   visitor -> place
  2 admitted     zset   visitor -> expires_ms
  3 origins      zset   network, address and visitor of each place
ARGV
  1 prefix       str    repeated: 1 to 50 networks, or networks and addresses, each with a space
RETURNS  one row per prefix, in the order of ARGV
  held  places:int

COST  O(m (log N + 200)): m prefixes, N places
]]
local waiting, admitted, origins = KEYS[1], KEYS[2], KEYS[3]
local LOOKED_AT = 200
--@include origins
local rows = {}
for i, prefix in ipairs(ARGV) do
  local first, last = '[' .. prefix, '(' .. prefix .. '\255'
  local members = redis.call('ZRANGEBYLEX', origins, first, last, 'LIMIT', 0, LOOKED_AT)
  drop_ended(origins, waiting, admitted, members)
  rows[i] = {'held', redis.call('ZLEXCOUNT', origins, first, last)}
end
return rows
