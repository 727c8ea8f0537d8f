--[[
survey.lua: read a room's rules and numbers at one instant.

Every place up to `serving` has had its turn or was given up. It never falls: the head of the line
only ever moves to a higher place, except for visitors who were passed over and came back. Those are
`returned`; for them, rejoin.lua stores `served`.

KEYS
  1 room         hash   mode, message, shop_url, limits, seq, served, counters, beat_ms
  2 waiting      zset   visitor -> place
  3 admitted     zset   visitor -> expires_ms
  4 rate         hash   the measured rate
RETURNS  one row
  room  at_ms:int waiting:int inside:int serving:int listened:int returned:int fields:list rate:list
  no_room

COST  O(log N) for N waiting
]]
local room, waiting, admitted, rate = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
--@include clock
--@include listening
local fields = redis.call('HGETALL', room)
if #fields == 0 then return {{'no_room'}} end
local now = clock_ms()
local first = redis.call('ZRANGE', waiting, 0, 0, 'WITHSCORES')
local seq, served = unpack(redis.call('HMGET', room, 'seq', 'served'))
local serving = math.max(first[2] and first[2] - 1 or tonumber(seq), tonumber(served or 0))
local returned = redis.call('ZCOUNT', waiting, '-inf', serving)
local total, inside = redis.call('ZCARD', waiting), redis.call('ZCARD', admitted)
local listened = listened_ms(now, unpack(redis.call('HMGET', room, 'beat_ms', 'lost_ms')))
return {{'room', now, total, inside, serving, listened, returned, fields,
  redis.call('HGETALL', rate)}}
