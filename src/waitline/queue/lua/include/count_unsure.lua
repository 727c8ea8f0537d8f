-- Count slots that end early: of those given before the failover, the lost history may have moved
-- the end, as an activation does.
local function count_unsure(key, clock, ended)
  if unsure_slots(key, clock) == 0 then return end
  local from = redis.call('HGET', key, 'unsure_from') + CLOCKS_APART_MAX
  local count = 0
  for _, slot in ipairs(ended) do
    local admitted_ms = string.match(slot, '^%a|%d+|%d+|(%d+)')
    if admitted_ms - from < 0 then count = count + 1 end
  end
  if count > 0 then redis.call('HINCRBY', key, 'unsure', count) end
end
