-- The server's time in ms since the epoch. A script reads it once, so one call has one time.
local function clock_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
