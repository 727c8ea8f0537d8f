-- Longest time, in ms, that counts after the last beat. Beats reach a room every 0.1 to 1.7 s; were
-- this shorter, time would run slow in a busy installation, were it longer, an outage would count
-- for longer.
local BEAT_GAP_MAX = 2000

-- Listening time: the server's time, less all time in which nobody listened (decision 0020). It
-- follows the server's clock from the last beat on, but never far, and not back before the beat.
-- A room without a beat has the server's time.
local function listened_ms(clock, beat_ms, lost_ms)
  if not beat_ms then return clock end
  return math.max(beat_ms, math.min(clock, beat_ms + BEAT_GAP_MAX)) - lost_ms
end
