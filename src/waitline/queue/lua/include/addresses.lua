-- Counts of client addresses: for an address or a network,
-- `minute taken refused total_taken total_refused`.
local ADDRESSES_MAX = 4096

-- Return the four counts of an address; those of the minute are 0 if the stored minute is over.
local function counted(counts, address, minute)
  local stored = redis.call('HGET', counts, address)
  if not stored then return 0, 0, 0, 0 end
  local at, taken, refused, all_taken, all_refused =
    string.match(stored, '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
  if tonumber(at) ~= minute then taken, refused = 0, 0 end
  return tonumber(taken), tonumber(refused), tonumber(all_taken), tonumber(all_refused)
end

-- Add to an address. Beyond ADDRESSES_MAX the one with the lowest counts of eight random ones is
-- evicted.
local function count_address(counts, address, minute, took, refused)
  local taken, turned_away, all_taken, all_refused = counted(counts, address, minute)
  if redis.call('HLEN', counts) >= ADDRESSES_MAX
    and redis.call('HEXISTS', counts, address) == 0 then
    local drawn = redis.call('HRANDFIELD', counts, 8, 'WITHVALUES')
    local least, fewest = nil, math.huge
    for i = 1, #drawn, 2 do
      local places, refusals = string.match(drawn[i + 1], ' (%d+) (%d+)$')
      local all = tonumber(places) + tonumber(refusals)
      if all < fewest then least, fewest = drawn[i], all end
    end
    redis.call('HDEL', counts, least)
  end
  redis.call('HSET', counts, address, string.format('%d %d %d %d %d', minute,
    taken + took, turned_away + refused, all_taken + took, all_refused + refused))
end
