-- Entries of a room's log that are kept, the latest: an operator who changes the room every minute
-- has the last 16 hours. An entry has some 300 bytes, so 10 000 such rooms would take 3 GB; rooms
-- have a dozen entries.
local CHANGES_MAX = 1000

-- Append an entry: who, what, when, and what differs before and after; nil where there is nothing.
local function log_change(changes, clock, who, what, before, after)
  local last = redis.call('XREVRANGE', changes, '+', '-', 'COUNT', 1)[1]
  local number = last and tonumber(string.match(last[1], '^%d+')) or 0
  local entry = {'at', string.format('%d', clock), 'who', who, 'what', what}
  if before then entry[7], entry[8] = 'before', cjson.encode(before) end
  if after then
    entry[#entry + 1] = 'after'
    entry[#entry + 1] = cjson.encode(after)
  end
  redis.call('XADD', changes, 'MAXLEN', '=', CHANGES_MAX, string.format('%d-1', number + 1),
    unpack(entry))
end
