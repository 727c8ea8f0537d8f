--[[
allow.lua: decide by client addresses whether new visitors may take a place, and count them.

For rooms that limit addresses; called before `join`. A visitor who has a place, or
was passed over and can return to it, is never limited. A limit of 0 means no limit. Places count as
held until their visitors have neither place nor slot; when the limit is reached, up to 64 of the
address's places are checked, and those that have ended are dropped.

KEYS
  1 room         hash   address_joins_max, network_joins_max, address_held_max, network_held_max,
                        mode, beat_ms, lost_ms
  2 waiting      zset   visitor -> place
  3 admitted     zset   visitor -> expires_ms
  4 addresses    hash   address -> counts
  5 origins      zset   network, address and visitor of each place
  6 lapsed       zset   visitor -> lapsed_ms
ARGV
  1 visitor      str    repeated with the next two: 1 to 256 new visitors
  2 address      str    its address, or IPv6 /64
  3 network      str    its /24, or IPv6 /48
RETURNS  one row per visitor, in the order of ARGV
  allowed
  limited  limit:str retry_after_s:int

COST  O(m (log N + 64)): m new visitors, N places
]]
local room, waiting, admitted = KEYS[1], KEYS[2], KEYS[3]
local addresses, origins, lapsed = KEYS[4], KEYS[5], KEYS[6]
local LOOKED_AT = 64
--@include clock
--@include listening
--@include addresses
--@include origins
local now = clock_ms()
local minute = math.floor(now / 60000)
local rest_s = 60 - math.floor(now / 1000) % 60
local rows = {}
local limits = redis.call('HMGET', room, 'address_joins_max', 'network_joins_max',
  'address_held_max', 'network_held_max', 'beat_ms', 'lost_ms', 'mode')
-- The room was deleted in the meantime: `join` reports it, and counts would outlive the room.
if not limits[7] then
  for i = 1, #ARGV / 3 do rows[i] = {'allowed'} end
  return rows
end
local listened = listened_ms(now, limits[5], limits[6])

local function has_place(visitor)
  return redis.call('ZSCORE', waiting, visitor) or redis.call('ZSCORE', admitted, visitor)
    or tonumber(redis.call('ZSCORE', lapsed, visitor) or 0) > listened
end

local function joins_over(address, limit)
  limit = tonumber(limit) or 0
  return limit > 0 and counted(addresses, address, minute) >= limit
end

local function holds_over(prefix, limit)
  limit = tonumber(limit) or 0
  if limit == 0 then return false end
  local first, last = '[' .. prefix, '(' .. prefix .. '\255'
  local held = redis.call('ZLEXCOUNT', origins, first, last)
  if held < limit then return false end
  -- A different offset at each call; a script's random numbers would be the same at each.
  local from = now % math.max(1, held - LOOKED_AT + 1)
  local members = redis.call('ZRANGEBYLEX', origins, first, last, 'LIMIT', from, LOOKED_AT)
  return held - drop_ended(origins, waiting, admitted, members) >= limit
end

for i = 1, #ARGV, 3 do
  local visitor, address, network = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local limit
  if not has_place(visitor) then
    if joins_over(address, limits[1]) then limit = 'address_joins_max'
    elseif joins_over(network, limits[2]) then limit = 'network_joins_max'
    elseif holds_over(network .. ' ' .. address .. ' ', limits[3]) then limit = 'address_held_max'
    elseif holds_over(network .. ' ', limits[4]) then limit = 'network_held_max'
    else
      drop_ended(origins, waiting, admitted, redis.call('ZRANDMEMBER', origins, 2))
      count_address(addresses, address, minute, 1, 0)
      if network ~= address then count_address(addresses, network, minute, 1, 0) end
      redis.call('ZADD', origins, 0, network .. ' ' .. address .. ' ' .. visitor)
    end
  end
  if limit then
    rows[#rows + 1] = {'limited', limit, rest_s}
  else
    rows[#rows + 1] = {'allowed'}
  end
end
return rows
