--[[
tally.lua: add a worker's counts of client addresses in a room, and report those that exceed the
limits of refused calls.

KEYS
  1 room         hash   address_refusals_max, network_refusals_max
  2 waiting      zset   visitor -> place
  3 admitted     zset   visitor -> expires_ms
  4 addresses    hash   address -> counts
  5 origins      zset   network, address and visitor of each place
ARGV
  1 address      str    repeated with the next four: 1 to 256 addresses
  2 network      str    its /24, or IPv6 /48
  3 taken        int    places taken
  4 refused      int    calls refused
  5 visitor      str    one of the visitors who took a place, or empty
RETURNS  one row per address or network over its limit, after a first one
  tallied  rest_s:int
  over     address:str
  no_room

COST  O(m log N): m addresses, N places
]]
local room, waiting, admitted = KEYS[1], KEYS[2], KEYS[3]
local addresses, origins = KEYS[4], KEYS[5]
-- Most places whose address is recorded in a room without limits, some 10 MB.
local ORIGINS_MAX = 100000
--@include clock
--@include addresses
--@include origins
local limits = redis.call('HMGET', room, 'seq', 'address_refusals_max', 'network_refusals_max')
if not limits[1] then return {{'no_room'}} end
local now = clock_ms()
local minute = math.floor(now / 60000)
local rows = {{'tallied', 60 - math.floor(now / 1000) % 60}}

local function add(address, took, refused, limit)
  count_address(addresses, address, minute, took, refused)
  limit = tonumber(limit) or 0
  if limit > 0 and refused > 0 then
    local _, turned_away = counted(addresses, address, minute)
    if turned_away >= limit then rows[#rows + 1] = {'over', address} end
  end
end

for i = 1, #ARGV, 5 do
  local address, network, visitor = ARGV[i], ARGV[i + 1], ARGV[i + 4]
  local took, refused = tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
  add(address, took, refused, limits[2])
  if network ~= address then add(network, took, refused, limits[3]) end
  if visitor ~= '' and redis.call('ZCARD', origins) < ORIGINS_MAX then
    drop_ended(origins, waiting, admitted, redis.call('ZRANDMEMBER', origins, 2))
    redis.call('ZADD', origins, 0, network .. ' ' .. address .. ' ' .. visitor)
  end
end
return rows
