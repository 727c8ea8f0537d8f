-- Visitors that an admitter admits before the next confirmation, and for how long its lease keeps
-- others from the room, in ms (`CHUNK_MAX`, `LEASE_MS`).
local UNCONFIRMED_MAX, LEASED_MS = 250, 2000

-- Whether this server was a replica of the room's history. In a cluster, a room with another one
-- has moved here with its slot. A server that has only restarted knows no history before its own.
local function promoted(info, stored)
  local before = string.match(info, 'master_replid2:(%x+)')
  if not before or not string.find(before, '[^0]') then return false end
  return before == stored
    or not string.find(redis.call('INFO', 'server'), 'redis_mode:cluster', 1, true)
end

-- The most visitors that the lost history can have admitted: those whom the rate allows since the
-- last beat that this server has.
local function lost_most(key, clock, confirms)
  local beat_ms, active_max, per_s, burst =
    unpack(redis.call('HMGET', key, 'beat_ms', 'active_max', 'admit_per_s', 'admit_burst'))
  if not beat_ms then return tonumber(active_max) end
  local gone = math.max(clock - beat_ms, 0) + CLOCKS_APART_MAX
  -- As in `Limits.burst`.
  if tonumber(burst) == 0 then burst = math.max(per_s / 4, 1 + per_s / 10) end
  local most = burst + per_s * gone / 1000
  if confirms then most = math.min(most, UNCONFIRMED_MAX * (1 + math.ceil(gone / LEASED_MS))) end
  return math.ceil(math.min(most, active_max))
end

-- Compare the history of writes that this server continues with the room's. Return a row for the
-- caller if a replica was promoted, which may lack the latest admissions (decision 0041). Called
-- before the beat is stored.
local function take_over(key, clock, confirms)
  local info = redis.pcall('INFO', 'replication')
  local id = type(info) == 'string' and string.match(info, 'master_replid:(%x+)')
  local stored = redis.call('HGET', key, 'history')
  if not id or id == stored then return nil end
  if not stored then
    refused_for_memory(redis.pcall('HSET', key, 'history', id))
    return nil
  end
  local lost = promoted(info, stored) and lost_most(key, clock, confirms)
  local before = unsure_slots(key, clock)
  -- The removal comes first: a full store refuses a script whose first write needs memory.
  redis.call('HDEL', key, 'history')
  redis.call('HSET', key, 'history', id)
  if not lost then return nil end
  local ready, active = unpack(redis.call('HMGET', key, 'ready_ttl_ms', 'active_ttl_ms'))
  local last = math.max(ready, active) + CLOCKS_APART_MAX
  redis.call('HSET', key, 'unsure', string.format('%d', before + lost),
    'unsure_from', string.format('%d', clock), 'unsure_until', string.format('%d', clock + last))
  return {'unsure', before + lost, last}
end
