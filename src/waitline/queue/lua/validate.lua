--[[
validate.lua: return where visitors stand, without position; read-only.

The shop calls it at every step of a visitor. It does not count as contact.

KEYS
  1 room         hash   beat_ms, lost_ms
  2 waiting      zset   visitor -> place
  3 slots        hash   visitor -> slot
ARGV
  1 visitor      str    repeated: 1 to 256 visitors
RETURNS  one row per visitor, in the order of ARGV
  queued   place:int
  ready    place:int joined_ms:int admitted_ms:int extensions:int expires_ms:int
  active   place:int joined_ms:int admitted_ms:int extensions:int expires_ms:int
  expired  place:int joined_ms:int admitted_ms:int extensions:int expires_ms:int
  unknown

COST  O(m) for m visitors asked about
]]
local room, waiting, slots = KEYS[1], KEYS[2], KEYS[3]
--@include clock
--@include listening
--@include slot
--@include slot_row
local clock = clock_ms()
local beat = redis.call('HMGET', room, 'beat_ms', 'lost_ms')
local now = listened_ms(clock, beat[1], beat[2])
local lost = clock - now

local held = redis.call('HMGET', slots, unpack(ARGV))
local words = {R = 'ready', A = 'active'}
local rows = {}

for i, visitor in ipairs(ARGV) do
  if held[i] then
    local state, place, joined, admitted_ms, extensions, ends =
      string.match(held[i], SLOT)
    local word, expires = words[state], tonumber(ends)
    if not word then
      word = 'expired'
    else
      if expires <= now then word = 'expired' end
      expires = expires + lost
    end
    rows[i] = slot_row(word, place, joined, admitted_ms, extensions, expires)
  else
    local place = redis.call('ZSCORE', waiting, visitor)
    rows[i] = place and {'queued', tonumber(place)} or {'unknown'}
  end
end
return rows
