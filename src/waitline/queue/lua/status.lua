--[[
status.lua: return where visitors stand; the call counts as contact.

A visitor who was passed over is only reported: rejoin.lua gives the place back, once the caller has
proved to be its visitor.

KEYS
  1 room         hash   idle_ms, beat_ms, lost_ms
  2 waiting      zset   visitor -> place
  3 heard        hash   visitor -> joined_ms[:heard_ms][:returned_ms][;mark]
  4 slots        hash   visitor -> slot
  5 lapsed       zset   visitor -> lapsed_ms
ARGV
  1 visitor      str    repeated: 1 to 256 visitors
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
local clock = clock_ms()

local idle, beat_ms, lost_ms = unpack(redis.call('HMGET', room, 'idle_ms', 'beat_ms', 'lost_ms'))
local now = listened_ms(clock, beat_ms, lost_ms)
local refresh_ms = (idle or 0) / 16
local places = redis.call('ZMSCORE', waiting, unpack(ARGV))
local held = redis.call('HMGET', slots, unpack(ARGV))
local words = {R = 'ready', A = 'active'}
local marks = redis.call('HMGET', heard, unpack(ARGV))
local rows, stale = {}, {}

for i, visitor in ipairs(ARGV) do
  if places[i] then
    local joined, since, returned, mark = string.match(marks[i], HEARD)
    if since == '' then since = joined end
    if refresh_ms > 0 and now - since > refresh_ms then
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
