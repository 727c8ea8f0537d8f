// The estimated wait as a range with hysteresis, so that it does not jitter. Pure.

const SMOOTHING = 0.3; // Weight of a new rate (exponential smoothing); lower is steadier and slower.

// Smooth the admissions per second; null when unknown.
export function smoothed(old, fresh) {
  if (!old || !fresh) return fresh;
  const mix = (side) => old[side] + SMOOTHING * (fresh[side] - old[side]);
  return { low: mix("low"), high: mix("high") };
}

// Estimate the minutes until `position` is admitted, rounded. The previous range stays until the
// estimate leaves it, or is twice as precise.
export function estimate(position, pace, before) {
  const low = position / pace.high / 60;
  const high = position / pace.low / 60;
  const fresh = {
    low: Math.floor(low / step(low)) * step(low),
    high: Math.ceil(high / step(high)) * step(high),
  };
  if (!before) return fresh;
  const middle = (low + high) / 2;
  const holds = before.low <= middle && middle <= before.high;
  const sharper = before.high - before.low >= 2 * (fresh.high - fresh.low);
  return holds && !sharper ? before : fresh;
}

function step(minutes) {
  if (minutes < 10) return 1;
  if (minutes < 30) return 5;
  return minutes < 120 ? 10 : 60;
}
