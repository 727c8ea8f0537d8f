-- Whether a room admits visitors, by its mode and its opening times.
local function admits(mode, opens_at, closes_at, clock)
  return (mode == 'open' or mode == 'draining')
    and clock >= (instant_ms(opens_at) or 0) and clock < (instant_ms(closes_at) or math.huge)
end
