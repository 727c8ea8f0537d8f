// The visitor's identity in this browser, and the API calls made with it.

const TIMEOUT_MS = 10_000; // After this a retry is likely to be faster.

// Where the service is: below a path of its host, where a proxy puts it there.
export const base = new URL("..", import.meta.url);
export const room = roomOf(location.pathname);
const named = new URLSearchParams(location.search).get("visitor");
const STORED_AS = JSON.stringify(["waitline", room, named]);
// The shop's signed word for who comes. A fragment is sent to no server, and it is taken out of the
// address, so that nobody passes it on with the link.
const statement = new URLSearchParams(location.hash.slice(1)).get("identity");
if (statement) history.replaceState(null, "", location.pathname + location.search);
let memory = {};
// Not stored: between visits the cookie holds it, which no script can read.
let token = null;

function roomOf(path) {
  const name = path.slice(`${base.pathname}rooms/`.length);
  try {
    // The server's normal form, so that two spellings are one room here too.
    return decodeURIComponent(name).normalize("NFC");
  } catch {
    return name;
  }
}

// Visitor, key, place and first position. All tabs of a browser share one place, so this is loaded at
// every use.
export function loadVisitor() {
  try {
    memory = JSON.parse(localStorage.getItem(STORED_AS)) ?? memory;
  } catch {
    // Storage is off or its content is not ours: this tab keeps its own state.
  }
  if (!memory.visitor) saveVisitor({ visitor: named ?? randomName() });
  // Made before the browser enters: if the answer is lost, the key gets the same place again.
  if (!memory.key) saveVisitor({ key: randomName() });
  return memory;
}

export function saveVisitor(changes) {
  memory = { ...memory, ...changes };
  try {
    localStorage.setItem(STORED_AS, JSON.stringify(memory));
  } catch {
    // Storage is off: see `loadVisitor`.
  }
}

export function forgetPlace() {
  token = null;
  saveVisitor({ place: null, first: null });
}

// After a token was rejected: the cookie may still prove the place. Without a cookie the place is
// lost, and the browser enters as a new visitor.
export function resetIdentity() {
  if (!token && !named) saveVisitor({ visitor: randomName() });
  forgetPlace();
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

export async function fetchJson(url, options = {}) {
  let response;
  try {
    response = await fetch(url, { ...options, signal: AbortSignal.timeout(TIMEOUT_MS) });
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
  const { visitor, key } = loadVisitor();
  const who = { concertId: room, userId: visitor };
  const options = { method, headers: token ? { "X-Queue-Token": token } : {} };
  if (verb === "enter") options.headers["X-Visitor-Key"] = key;
  if (verb === "enter" && statement) options.headers["X-Identity"] = statement;
  const url = new URL(`api/v1/queue/${verb}`, base);
  if (verb === "enter" || verb === "extend") {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(who);
  } else {
    url.search = new URLSearchParams(who);
  }
  const { data, retryAfterMs } = await fetchJson(url, options);
  if (data?.token) token = data.token;
  return { ...data, retryAfterMs };
}
