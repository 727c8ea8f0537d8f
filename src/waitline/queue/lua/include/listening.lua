-- Longest time, in ms, that counts after the last beat. Beats reach a room every 0.1 to 1.7 s. If
-- this were shorter, time would run slow in a busy installation; if it were longer, more of an
-- outage would count.
local BEAT_GAP_MAX = 2000

-- Listening time: the server's time, minus all time in which no worker listened (decision 0020). It
-- follows the server's clock from the last beat on, but at most BEAT_GAP_MAX further, and never
-- back before the beat. A room without a beat has the server's time.
local function listened_ms(clock, beat_ms, lost_ms)
  if not beat_ms then return clock end
  return math.max(beat_ms, math.min(clock, beat_ms + BEAT_GAP_MAX)) - lost_ms
end
