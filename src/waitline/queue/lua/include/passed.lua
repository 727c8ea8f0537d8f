-- A row of the reply for a visitor who was passed over: the end of the time in which it can return,
-- by the server's clock, and how much is left; 0 if it is over. `lapsed` has the end of that time.
local function passed_row(ends, visitor, place, joined_ms, passed_ms, now, clock)
  local ends_ms = tonumber(redis.call('ZSCORE', ends, visitor) or now)
  return {'passed', tonumber(place), tonumber(joined_ms), tonumber(passed_ms),
    ends_ms + clock - now, math.max(ends_ms - now, 0)}
end
