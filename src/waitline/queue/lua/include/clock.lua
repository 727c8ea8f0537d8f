-- The server's time in ms since the epoch. Scripts take it once, so that one call has one time.
local function clock_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
