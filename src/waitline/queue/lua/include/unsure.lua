-- How many slots a lost history may have given: they count as taken until the passes have run out.
local function unsure_slots(key, clock)
  local count, until_ms = unpack(redis.call('HMGET', key, 'unsure', 'unsure_until'))
  return until_ms and clock < tonumber(until_ms) and tonumber(count) or 0
end
