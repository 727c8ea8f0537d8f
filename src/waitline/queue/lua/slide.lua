--[[
slide.lua: move the end of active visitors' time forward while they use the site (decision 0064).

The new end is `active_ttl_ms` from now, but no later than `stay_ms` after the admission, by the
server's clock, and never earlier than the present one. No extension is counted (Q8), and no slot
is added (Q4). In a room that is closed, or whose `stay_ms` is 0, nothing moves.

`claim` is the stay that the visitor's token proves, 0 where no token is required. A token for
another stay is refused (Q9).

KEYS
  1 room         hash   mode, closes_at, active_ttl_ms, stay_ms, beat_ms, lost_ms
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
  queued   place:int
  unknown
  stranger

COST  O(m log A) for m visitors and A admitted
]]
local room, waiting, admitted, slots = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
--@include clock
--@include listening
--@include instant
--@include slot
--@include slot_row
--@include claim
--@include stays
local clock = clock_ms()
local mode, closes_at, ttl, longest, beat_ms, lost_ms = unpack(redis.call('HMGET', room, 'mode',
  'closes_at', 'active_ttl_ms', 'stay_ms', 'beat_ms', 'lost_ms'))
local now = listened_ms(clock, beat_ms, lost_ms)
-- A room of an earlier version has no longest stay.
longest = tonumber(longest or 0)
local slides = longest > 0 and mode ~= 'closed' and clock < (instant_ms(closes_at) or math.huge)

-- The end of a stay in listening time, to which it may slide now.
local function slid_ms(admitted_ms)
  return math.min(now + ttl, admitted_ms + longest + now - clock)
end

local function turn(state, extensions, admitted_ms, expires_ms)
  if state == 'R' then return 'ready' end
  if slides and slid_ms(admitted_ms) > expires_ms then
    return 'active', slid_ms(admitted_ms), extensions
  end
  return 'active'
end

return (renew_stays(waiting, admitted, slots, ARGV, clock, now, turn))
