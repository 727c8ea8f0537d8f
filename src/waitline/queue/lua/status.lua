--[[
status.lua: return where visitors stand; the call of a place's own visitor counts as contact.

`claim` is the stay that the visitor's token proves, 0 where no token is required. One for another
stay keeps nobody's place alive (Q9); the caller refuses it by the row. A visitor who was passed
over is only reported: rejoin.lua gives the place back.

KEYS
  1 room         hash   idle_ms, beat_ms, lost_ms
  2 waiting      zset   visitor -> place
  3 heard        hash   visitor -> joined_ms[:heard_ms][:returned_ms][;mark]
  4 slots        hash   visitor -> slot
  5 lapsed       zset   visitor -> lapsed_ms
ARGV
  1 count        int    number of visitors, 1 to 256
  2 visitor      str    repeated: that many
  3 claim        str    repeated: each visitor's stay proved, as place-joined_ms, or 0; none: all 0
RETURNS  one row per visitor, in the order of ARGV
  waiting  place:int joined_ms:int ahead:int
  returned  place:int joined_ms:int ahead:int returned_ms:int
  ready    place:int joined_ms:int admitted_ms:int extensions:int expires_ms:int
  active   place:int joined_ms:int admitted_ms:int extensions:int expires_ms:int
  expired  place:int joined_ms:int admitted_ms:int extensions:int expires_ms:int
  passed   place:int joined_ms:int passed_ms:int until_ms:int left_ms:int
  unknown

COST  O(m log N) for m visitors asked about and N waiting
]]
local room, waiting, heard, slots, lapsed = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
--@include clock
--@include listening
--@include slot
--@include slot_row
--@include heard
--@include passed
--@include claim
local clock = clock_ms()
local count = tonumber(ARGV[1])

local idle, beat_ms, lost_ms = unpack(redis.call('HMGET', room, 'idle_ms', 'beat_ms', 'lost_ms'))
local now = listened_ms(clock, beat_ms, lost_ms)
local refresh_ms = (idle or 0) / 16
local places = redis.call('ZMSCORE', waiting, unpack(ARGV, 2, count + 1))
local held = redis.call('HMGET', slots, unpack(ARGV, 2, count + 1))
local words = {R = 'ready', A = 'active'}
local marks = redis.call('HMGET', heard, unpack(ARGV, 2, count + 1))
local rows, stale = {}, {}

for i = 1, count do
  local visitor = ARGV[i + 1]
  if places[i] then
    local joined, since, returned, mark = string.match(marks[i], HEARD)
    if since == '' then since = joined end
    local claim = ARGV[count + 1 + i]
    if refresh_ms > 0 and now - since > refresh_ms
      and not (claim and stranger(claim, places[i] .. '-' .. joined)) then
      stale[#stale + 1] = visitor
      stale[#stale + 1] = joined .. ':' .. string.format('%d', now)
        .. (returned ~= '' and ':' .. returned or '') .. mark
    end
    local ahead = redis.call('ZRANK', waiting, visitor)
    if returned == '' then
      rows[i] = {'waiting', tonumber(places[i]), tonumber(joined), ahead}
    else
      rows[i] = {'returned', tonumber(places[i]), tonumber(joined), ahead, tonumber(returned)}
    end
  elseif held[i] then
    local state, place, joined, admitted_ms, extensions, ends =
      string.match(held[i], SLOT)
    if state == 'P' then
      rows[i] = passed_row(lapsed, visitor, place, joined, admitted_ms, now, clock)
    else
      local word, expires = words[state], tonumber(ends)
      if not word then
        word = 'expired'
      else
        if expires <= now then word = 'expired' end
        expires = expires + clock - now
      end
      rows[i] = slot_row(word, place, joined, admitted_ms, extensions, expires)
    end
  else
    rows[i] = {'unknown'}
  end
end

if #stale > 0 then
  -- The removal comes first: a full store refuses a script whose first write needs memory, and a
  -- visitor who was in contact must not be taken for silent.
  redis.call('HDEL', heard, stale[1])
  redis.call('HSET', heard, unpack(stale))
end
return rows
