-- A beat that is younger than this, in ms, is not written again: each write goes to the append-only
-- file.
local BEAT_EVERY_MS = 250

-- Store that a worker listened at at_ms (0: unknown). Listening time continues from its current
-- value; the server's time beyond it is lost. Return beat_ms, lost_ms and resumed_ms.
local function keep_beat(key, clock, at_ms, stored)
  local beat_ms, lost_ms, resumed_ms, stepped_back_ms = unpack(stored)
  local back = beat_ms and clock < tonumber(beat_ms)
  -- The node that recorded the beat may be ahead; a beat from beyond that does not count.
  if at_ms > clock and at_ms - clock <= CLOCKS_APART_MAX then at_ms = clock end
  local fresh = at_ms > 0 and at_ms <= clock and clock - at_ms <= BEAT_GAP_MAX
  local due = fresh and (not beat_ms or at_ms - beat_ms >= BEAT_EVERY_MS)
  if not back and not due then return beat_ms, lost_ms, resumed_ms end
  local now = listened_ms(clock, beat_ms, lost_ms)
  -- After an outage, visitors' silence counts from here.
  if not beat_ms or clock - now - lost_ms >= BEAT_GAP_MAX then resumed_ms = now end
  if back then stepped_back_ms = math.max(stepped_back_ms or 0, beat_ms - clock) end
  -- The removal comes first: a full store refuses a script whose first write needs memory. Only
  -- the first beat of a room has nothing to remove; refused, it is written by a later call.
  if beat_ms then redis.call('HDEL', key, 'beat_ms') end
  beat_ms, lost_ms = fresh and at_ms or clock, clock - now
  refused_for_memory(redis.pcall('HSET', key, 'beat_ms', string.format('%d', beat_ms),
    'lost_ms', string.format('%d', lost_ms),
    'resumed_ms', string.format('%d', resumed_ms or 0),
    'stepped_back_ms', string.format('%d', stepped_back_ms or 0)))
  return beat_ms, lost_ms, resumed_ms
end
