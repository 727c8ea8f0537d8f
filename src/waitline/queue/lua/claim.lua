--[[
claim.lua: keep stays for the browsers that claim them first (decision 0063).

A repeat of the same browser is answered alike. A claim ends with its stay: the next stay of the
visitor has another place. Claims whose stays are over are removed by later claims, which look at
two others each, so the room keeps hardly more than there are stays; the whole ends by itself.

`claim` is the stay that the visitor's token proves, 0 where no token is required. A token for
another stay is refused (Q9).

KEYS
  1 room         hash   ready_ttl_ms, active_ttl_ms, stay_ms, extensions_max, beat_ms, lost_ms
  2 waiting      zset   visitor -> place
  3 slots        hash   visitor -> slot
  4 claims       hash   visitor -> place-joined_ms browser
ARGV
  1 visitor      str    repeated with the next two: 1 to 256 visitors
  2 claim        str    stay proved, as place-joined_ms, or 0
  3 browser      str    digest of the browser's secret
RETURNS  one row per visitor, in the order of ARGV
  claimed
  used
  expired  place:int
  queued   place:int
  unknown
  stranger
  no_memory

COST  O(m) for m visitors
]]
local room, waiting, slots, claims = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
--@include clock
--@include listening
--@include full
--@include slot
--@include claim
local ready, active, longest, most, beat_ms, lost_ms = unpack(redis.call('HMGET', room,
  'ready_ttl_ms', 'active_ttl_ms', 'stay_ms', 'extensions_max', 'beat_ms', 'lost_ms'))
local now = listened_ms(clock_ms(), beat_ms, lost_ms)

-- Other claims looked at per claim: with two, those that are over are at most half of all.
local LOOKED = 2

-- The stay of a slot that is held now, as place-joined_ms; what it is refused as otherwise.
local function stay_of(slot)
  if not slot then return nil, 'unknown' end
  local state, place, joined, _, _, expires = string.match(slot, SLOT)
  if (state ~= 'R' and state ~= 'A') or tonumber(expires) <= now then
    return nil, 'expired', place
  end
  return place .. '-' .. joined
end

local function forget_some()
  local drawn = redis.call('HRANDFIELD', claims, LOOKED, 'WITHVALUES')
  for i = 1, #drawn, 2 do
    local stay = stay_of(redis.call('HGET', slots, drawn[i]))
    if stay ~= string.match(drawn[i + 1], '^%S+') then redis.call('HDEL', claims, drawn[i]) end
  end
end

local function claimed(visitor, claim, browser)
  local stay, refused, place = stay_of(redis.call('HGET', slots, visitor))
  if refused == 'unknown' then
    place = redis.call('ZSCORE', waiting, visitor)
    refused = place and 'queued' or refused
  end
  if not stay then return {refused, tonumber(place)} end
  if stranger(claim, stay) then return {'stranger'} end
  local known = redis.call('HGET', claims, visitor)
  if known and string.match(known, '^%S+') == stay then
    return {known == stay .. ' ' .. browser and 'claimed' or 'used'}
  end
  forget_some()
  if refused_for_memory(redis.pcall('HSET', claims, visitor, stay .. ' ' .. browser)) then
    return {'no_memory'}
  end
  return {'claimed'}
end

local rows = {}
for i = 1, #ARGV, 3 do rows[#rows + 1] = claimed(ARGV[i], ARGV[i + 1], ARGV[i + 2]) end
-- No stay lasts longer, unless in an outage; a room that is gone has no times.
local stays_ms = math.max((ready or 0) + (active or 0), longest or 0) + (most or 0) * (active or 0)
redis.call('PEXPIRE', claims, stays_ms + 86400000)
return rows
