--[[
extend.lua: renew the time of active visitors, as often as the room allows (Q8).

`claim` is the stay that the visitor's token proves, 0 where no token is required. A token for
another stay is refused (Q9).

KEYS
  1 room         hash   active_ttl_ms, extensions_max, beat_ms, lost_ms
  2 waiting      zset   visitor -> place
  3 admitted     zset   visitor -> expires_ms
  4 slots        hash   visitor -> slot
ARGV
  1 visitor      str    repeated with the next: 1 to 256 visitors
  2 claim        str    stay proved, as place-joined_ms, or 0
RETURNS  one row per visitor, in the order of ARGV
  active   place:int joined_ms:int admitted_ms:int extensions:int expires_ms:int
  ready    place:int joined_ms:int admitted_ms:int extensions:int expires_ms:int
  expired  place:int joined_ms:int admitted_ms:int extensions:int expires_ms:int
  spent
  queued   place:int
  unknown
  stranger

COST  O(m log A) for m visitors and A admitted
]]
local room, waiting, admitted, slots = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
--@include clock
--@include listening
--@include slot
--@include slot_row
--@include claim
--@include stays
local clock = clock_ms()
local ttl, most, beat_ms, lost_ms =
  unpack(redis.call('HMGET', room, 'active_ttl_ms', 'extensions_max', 'beat_ms', 'lost_ms'))
local now = listened_ms(clock, beat_ms, lost_ms)

local function turn(state, extensions)
  if state == 'R' then return 'ready' end
  if tonumber(extensions) >= tonumber(most) then return {'spent'} end
  return 'active', now + ttl, extensions + 1
end

return (renew_stays(waiting, admitted, slots, ARGV, clock, now, turn))
