-- Answer visitors, each followed in `args` by the claim, and store the stays that have a new end.
-- A visitor who appears twice is answered from the first result the second time.
--
-- `turn` decides about a stay that is not over, by its state, its extensions, the time of admission
-- and the end. It returns the word of the row, or the whole row, and, if the stay changes, the new
-- end and the extensions.
--
-- Return the rows, and the number of stays stored.
local function renew_stays(line, ends, stored, args, clock, now, turn)
  local visitors = {}
  for i = 1, #args, 2 do visitors[#visitors + 1] = args[i] end
  local held = redis.call('HMGET', stored, unpack(visitors))
  local newest, renewed, expiries = {}, {}, {}

  local function stay_row(visitor, claim, slot)
    local state, place, joined, admitted_ms, extensions, expires, mark = string.match(slot, SLOT)
    if stranger(claim, place .. '-' .. joined) then return {'stranger'} end
    local word, expires_ms, extended = 'expired', nil, nil
    if state ~= 'R' and state ~= 'A' then
      return slot_row(word, place, joined, admitted_ms, extensions, expires)
    end
    if tonumber(expires) > now then
      word, expires_ms, extended = turn(state, extensions, admitted_ms, tonumber(expires))
      if type(word) == 'table' then return word end
    end
    if expires_ms then
      expires, extensions = string.format('%d', expires_ms), string.format('%d', extended)
      newest[visitor] = 'A|' .. place .. '|' .. joined .. '|' .. admitted_ms
        .. '|' .. extensions .. '|' .. expires .. mark
      expiries[#expiries + 1], expiries[#expiries + 2] = expires, visitor
    end
    return slot_row(word, place, joined, admitted_ms, extensions, expires + clock - now)
  end

  local rows = {}
  for i, visitor in ipairs(visitors) do
    local slot = newest[visitor] or held[i]
    if slot then
      rows[i] = stay_row(visitor, args[2 * i], slot)
    else
      local place = redis.call('ZSCORE', line, visitor)
      rows[i] = place and {'queued', tonumber(place)} or {'unknown'}
    end
  end

  for visitor, slot in pairs(newest) do
    renewed[#renewed + 1], renewed[#renewed + 2] = visitor, slot
  end
  if #renewed > 0 then
    -- The removal comes first: a full store refuses a script whose first write needs memory.
    redis.call('HDEL', stored, renewed[1])
    redis.call('HSET', stored, unpack(renewed))
    redis.call('ZADD', ends, unpack(expiries))
  end
  return rows, #renewed / 2
end
