-- A member for each place, `network address visitor`, in the order of bytes. Addresses have no
-- spaces. Drop those of some members whose visitors no longer hold a place or slot.
local function drop_ended(noted, line, inside, members)
  local dropped = 0
  for _, member in ipairs(members) do
    local visitor = string.match(member, '^%S+ %S+ (.*)$')
    if not redis.call('ZSCORE', line, visitor) and not redis.call('ZSCORE', inside, visitor) then
      redis.call('ZREM', noted, member)
      dropped = dropped + 1
    end
  end
  return dropped
end
