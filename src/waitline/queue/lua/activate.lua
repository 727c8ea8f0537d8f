--[[
activate.lua: start the time of admitted visitors: ready becomes active, once.

A repeat changes nothing and answers the same. `claim` is the place that the visitor's token
proves; 0 where no token was asked for. Another place's token serves nobody (Q9).

KEYS
  1 room         hash   active_ttl_ms, counters
  2 waiting      zset   visitor -> place
  3 admitted     zset   visitor -> expires_ms
  4 slots        hash   visitor -> slot
ARGV
  1 visitor      str    repeated with the next: 1 to 256 visitors
  2 claim        int    place proved, or 0
RETURNS  one row per visitor, in the order of ARGV
  active   place:int joined_ms:int admitted_ms:int extensions:int expires_ms:int
  expired  place:int joined_ms:int admitted_ms:int extensions:int expires_ms:int
  queued   place:int
  unknown
  stranger

COST  O(m log A) for m visitors and A admitted
]]
local room, waiting, admitted, slots = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local ttl = tonumber(redis.call('HGET', room, 'active_ttl_ms') or 0)
local rows = {}

for i = 1, #ARGV / 2 do
  local visitor, claim = ARGV[2 * i - 1], tonumber(ARGV[2 * i])
  local slot = redis.call('HGET', slots, visitor)
  if slot then
    local state, place, joined, called, extensions, expires =
      string.match(slot, '^(%a)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)$')
    local word = 'active'
    if claim > 0 and claim ~= tonumber(place) then
      rows[i] = {'stranger'}
    else
      if state == 'P' or tonumber(expires) <= now then
        word = 'expired'
      elseif state == 'R' then
        expires = string.format('%d', now + ttl)
        state = 'A'
        local renewed = table.concat({state, place, joined, called, extensions, expires}, '|')
        -- Removed first: a full store refuses a script's first write if it needs memory.
        redis.call('HDEL', slots, visitor)
        redis.call('HSET', slots, visitor, renewed)
        redis.call('ZADD', admitted, expires, visitor)
        redis.call('HINCRBY', room, 'activated', 1)
      end
      rows[i] = {word, tonumber(place), tonumber(joined), tonumber(called)}
      rows[i][5], rows[i][6] = tonumber(extensions), tonumber(expires)
    end
  else
    local place = redis.call('ZSCORE', waiting, visitor)
    rows[i] = place and {'queued', tonumber(place)} or {'unknown'}
  end
end
return rows
