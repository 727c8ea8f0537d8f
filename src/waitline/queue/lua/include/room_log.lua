-- Most entries kept in a room's log, the latest: 16 hours if an operator changes the room every
-- minute. An entry has some 300 bytes, so 10 000 such rooms would take 3 GB; rooms have a dozen
-- entries.
local CHANGES_MAX = 1000

-- Append an entry: when, who, what, and the differing settings before and after; nil for none.
local function log_change(key, at_ms, who, what, old, new)
  local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
  local number = last and tonumber(string.match(last[1], '^%d+')) or 0
  redis.call('XADD', key, 'MAXLEN', '=', CHANGES_MAX, string.format('%d-1', number + 1),
    'at', string.format('%d', at_ms), 'who', who, 'what', what,
    'before', old and cjson.encode(old) or '', 'after', new and cjson.encode(new) or '')
end
