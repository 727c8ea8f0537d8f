// Who this browser is in the line, and the calls that it makes as that visitor.

const ANSWER_MS = 10_000; // Whoever waits longer for an answer had better ask again.

export const room = roomOf(location.pathname);
const named = new URLSearchParams(location.search).get("visitor");
const STORED_AS = JSON.stringify(["waitline", room, named]);
let memory = {};
// Never stored: between visits the cookie carries it, which no script can read.
let token = null;

function roomOf(path) {
  const name = path.slice("/rooms/".length);
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

// visitor, place, and the first position. All tabs of a browser share one place, so this is
// read again at every use.
export function kept() {
  try {
    memory = JSON.parse(localStorage.getItem(STORED_AS)) ?? memory;
  } catch {
    // Storage is switched off, or holds something else: this tab remembers for itself.
  }
  if (!memory.visitor) keep({ visitor: named ?? randomName() });
  return memory;
}

export function keep(changes) {
  memory = { ...memory, ...changes };
  try {
    localStorage.setItem(STORED_AS, JSON.stringify(memory));
  } catch {
    // As above.
  }
}

export function forget() {
  token = null;
  keep({ place: null, first: null });
}

// After a token was refused: the cookie may still prove the place; if not, the browser has lost it
// and can only take another.
export function renamed() {
  if (!token && !named) keep({ visitor: randomName() });
  forget();
}

function randomName() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Problem extends Error {
  constructor(code, retryAfterMs) {
    super(code);
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }
}

export async function fetched(url, options = {}) {
  let response;
  try {
    response = await fetch(url, { ...options, signal: AbortSignal.timeout(ANSWER_MS) });
    if (response.ok) return { ...(await response.json()), retryAfterMs: retryMs(response) };
  } catch {
    throw new Problem(navigator.onLine ? "down" : "offline", 0);
  }
  const { code } = await response.json().catch(() => ({}));
  throw new Problem(response.status >= 500 ? "down" : code, retryMs(response));
}

function retryMs(response) {
  return Number(response.headers.get("Retry-After")) * 1_000 || 0;
}

export async function call(method, verb) {
  const { visitor } = kept();
  const who = { concertId: room, userId: visitor };
  const options = { method, headers: token ? { "X-Queue-Token": token } : {} };
  let url = `/api/v1/queue/${verb}`;
  if (verb === "enter" || verb === "extend") {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(who);
  } else {
    url += `?${new URLSearchParams(who)}`;
  }
  const { data, retryAfterMs } = await fetched(url, options);
  if (data?.token) token = data.token;
  return { ...data, retryAfterMs };
}
