-- The rate and the burst in effect. A stored decision only ever lowers the room's own.
local function pace(admit_per_s, admit_burst, now_per_s)
  local per_s = math.min(admit_per_s, tonumber(now_per_s) or math.huge)
  local burst = tonumber(admit_burst)
  -- As in `Limits.burst`.
  if burst == 0 then burst = math.max(admit_per_s / 4, 1 + admit_per_s / 10) end
  if per_s < tonumber(admit_per_s) then burst = math.max(1, burst * per_s / admit_per_s) end
  return per_s, burst
end
