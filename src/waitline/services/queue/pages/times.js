// Times as visitors read them: a clock that runs down, and an instant in their own zone. Pure.

// 4:05, 1:00:00, or whole days first, in the words of `days`.
export function countdown(seconds, days) {
  const whole = Math.max(0, Math.ceil(seconds));
  const two = (count) => String(count).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3_600) % 24, Math.floor(whole / 60) % 60];
  const rest = `${hours ? two(minutes) : minutes}:${two(whole % 60)}`;
  if (whole < 86_400) return hours ? `${hours}:${rest}` : rest;
  return `${days(Math.floor(whole / 86_400))} ${hours}:${two(minutes)}:${two(whole % 60)}`;
}

// With the zone's name: two visitors may be in two zones.
export function localTime(language, ms) {
  return new Intl.DateTimeFormat(language, {
    weekday: "long",
    month: "long",
    day: "numeric",
    hour: "numeric",
    minute: "2-digit",
    timeZoneName: "short",
  }).format(ms);
}
