// How long the wait may be, as a range that does not jitter. Pure.

const SMOOTHING = 0.3; // Share of a new rate in the one used; lower is calmer and later.

// Admissions per second from what was known and what is new; null when unknown.
export function smoothed(old, fresh) {
  if (!old || !fresh) return fresh;
  const mix = (side) => old[side] + SMOOTHING * (fresh[side] - old[side]);
  return { low: mix("low"), high: mix("high") };
}

// Minutes until `position` is admitted, in round figures. The range shown before is kept until the
// truth leaves it, or is known twice as well.
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
