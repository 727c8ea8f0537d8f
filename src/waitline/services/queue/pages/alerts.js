// Reaches visitors who look elsewhere: sound, notification and title; keeps the screen on meanwhile.

const BLINK_MS = 1_000;
const RING_MS = 5_000; // Between two rings.
const RINGS_MAX = 24; // Two minutes: somebody in the next room comes, and nobody is annoyed for long.
const TONES_HZ = [880, 1_175]; // Two notes, which phones' small speakers play well.

const Sound = window.AudioContext ?? window.webkitAudioContext;
let sound = null;
let notification = null;
let timers = [];

// What calls can be made besides the title: asked for by a tap, since browsers allow neither without.
export async function allowCalls() {
  unlockSound();
  const asks = "Notification" in window && window.isSecureContext;
  return asks && (await permission()) === "granted";
}

function permission() {
  // Safari 14 has no promise here.
  return new Promise((resolve) => {
    const promise = Notification.requestPermission(resolve);
    promise?.then(resolve, () => resolve("denied"));
  });
}

// Must run in a tap's handler. After a reload, the next tap anywhere will do.
export function unlockSound() {
  if (!Sound) return;
  sound ??= new Sound();
  sound.resume();
}

export function startCalling(title, text) {
  if (timers.length) return;
  let rings = 0;
  const blink = () => {
    document.title = document.title === title ? text : title;
  };
  const ring = () => rings++ < RINGS_MAX && beep();
  document.title = title;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  timers = [setInterval(ring, RING_MS), still ? 0 : setInterval(blink, BLINK_MS)];
  ring();
  notify(title, text);
}

export function stopCalling() {
  timers.forEach(clearInterval);
  timers = [];
  notification?.close();
  notification = null;
  removeWorker();
}

function notify(title, body) {
  if (!("Notification" in window) || Notification.permission !== "granted") return;
  const options = { body, tag: location.pathname, requireInteraction: true };
  try {
    notification = new Notification(title, options);
    notification.onclick = () => window.focus();
  } catch {
    notifyByWorker(title, options).catch(() => {}); // Sound and title remain.
  }
}

// --- the service worker -------------------------------------------------------------

async function notifyByWorker(title, options) {
  const worker = await navigator.serviceWorker.register(new URL("notifier.js", import.meta.url));
  await started(worker);
  await worker.showNotification(title, { ...options, data: location.href });
  // Somebody may have looked at the page meanwhile.
  if (!timers.length) await removeWorker();
}

// `navigator.serviceWorker.ready` would wait for ever: this page is not in the worker's scope.
function started({ installing, waiting, active }) {
  const starting = installing ?? waiting;
  if (active || !starting) return null;
  return new Promise((resolve, reject) => {
    starting.addEventListener("statechange", () => {
      if (starting.state === "activated") resolve();
      if (starting.state === "redundant") reject();
    });
  });
}

// Also one that a page has left behind that the phone closed, or one of an earlier version.
async function removeWorker() {
  const all = await navigator.serviceWorker?.getRegistrations().catch(() => []);
  const folders = new URL("..", import.meta.url).href;
  for (const worker of (all ?? []).filter(({ scope }) => scope.startsWith(folders))) {
    const mine = await worker.getNotifications({ tag: location.pathname });
    mine.forEach((shown) => shown.close());
    // Another tab may call for another room.
    if ((await worker.getNotifications()).length === 0) await worker.unregister();
  }
}

function beep() {
  navigator.vibrate?.([200, 100, 200]);
  if (sound?.state !== "running") return;
  TONES_HZ.forEach((frequency, index) => {
    const start = sound.currentTime + index * 0.25;
    const tone = sound.createOscillator();
    const volume = sound.createGain();
    tone.frequency.value = frequency;
    // Faded in and out, as edges click.
    volume.gain.setValueAtTime(0.0001, start);
    volume.gain.exponentialRampToValueAtTime(0.4, start + 0.03);
    volume.gain.exponentialRampToValueAtTime(0.0001, start + 0.4);
    tone.connect(volume).connect(sound.destination);
    tone.start(start);
    tone.stop(start + 0.45);
  });
}

// --- the screen ---------------------------------------------------------------------

let wanted = false;
let lock = null;

// A phone that sleeps loses contact. The browser drops the lock whenever the page is hidden.
export async function keepAwake(on) {
  wanted = on;
  if (!on) {
    lock?.release();
    lock = null;
  } else if ((!lock || lock.released) && !document.hidden) {
    try {
      lock = await navigator.wakeLock?.request("screen");
      if (!wanted) keepAwake(false);
    } catch {
      // The battery is low: the phone will sleep, and the line's grace holds the place.
    }
  }
}

document.addEventListener("visibilitychange", () => wanted && keepAwake(true));
