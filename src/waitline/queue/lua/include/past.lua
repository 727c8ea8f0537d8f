-- Mark a time that is already past when an operator sets it; announce.lua does not claim it.
local function mark_past(key, name, value, at)
  local field = name == 'opens_at' and 'opened_ms' or name == 'closes_at' and 'closed_ms'
  local at_ms = field and instant_ms(value)
  if at_ms and at_ms <= at then redis.call('HSET', key, field, string.format('%d', at_ms)) end
end
