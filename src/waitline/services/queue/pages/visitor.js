// The visitor's identity in this browser, and the API calls made with it.

const TIMEOUT_MS = 10_000; // After this a retry is likely to be faster.

// Where the service is: below a path of its host, where a proxy puts it there.
export const base = new URL("../..", import.meta.url);
export const room = roomOf(location.pathname);
const named = new URLSearchParams(location.search).get("visitor");
const signedReturn = new URLSearchParams(location.search).get("return");
const STORED_AS = JSON.stringify(["waitline", room, named]);
let memory = {};
// Not stored: between visits the cookie holds it, which no script can read.
let token = null;

// The shop's signed word for who comes, or a place that a link carries. A fragment is sent to no
// server and stands in no log.
const fragment = new URLSearchParams(location.hash.slice(1));
const statement = fragment.get("identity");
const ticket = fragment.get("ticket");

// Whether a place outlives this page. Browsers that block cookies block storage too.
export const keepsPlace = canStore();

if (ticket) {
  token = ticket;
  saveVisitor({ visitor: fragment.get("visitor") || named, place: placeOf(ticket), first: null });
}
// Taken out of the address, so that nobody passes it on with the link; but where nothing else keeps
// the place, it has to stay there.
if (statement || (ticket && keepsPlace)) {
  history.replaceState(null, "", location.pathname + location.search);
}

function canStore() {
  try {
    localStorage.setItem("waitline", "");
    localStorage.removeItem("waitline");
    document.cookie = "waitline=kept; SameSite=Lax";
    const kept = document.cookie.includes("waitline=kept");
    document.cookie = "waitline=; Max-Age=0; SameSite=Lax";
    return kept && navigator.cookieEnabled;
  } catch {
    return false;
  }
}

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

// Keeps why the place is over, so that other tabs can say the same.
export function forgetPlace(over = null) {
  token = null;
  saveVisitor({ place: null, first: null, over });
}

// Another tab of this browser has taken or given up a place: this tab's token is out of date.
export function onOtherTab(follow) {
  addEventListener("storage", ({ key }) => {
    if (key !== STORED_AS && key !== null) return;
    const { place } = memory;
    if (loadVisitor().place === place) return;
    token = null;
    follow(memory);
  });
}

// After a token was rejected: the cookie may still prove the place. Without a cookie the place is
// lost, and the browser enters as a new visitor.
export function resetIdentity() {
  if (!token && !named) saveVisitor({ visitor: randomName() });
  forgetPlace();
}

// The place that a ticket proves, or undefined for a pass.
export function placeOf(given) {
  return /^[at]1\./.test(given) ? Number(given.split(".")[2]) : undefined;
}

// The address with the place in it, for browsers that keep nothing.
export function placeLink(given) {
  const link = new URL(location.pathname + location.search, location.href);
  link.hash = new URLSearchParams({ visitor: loadVisitor().visitor, ticket: given });
  return link.href;
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
  const aborter = new AbortController();
  const timer = setTimeout(() => aborter.abort(), TIMEOUT_MS);
  try {
    const response = await fetch(url, { ...options, signal: aborter.signal });
    if (response.ok) return { ...(await response.json()), retryAfterMs: retryMs(response) };
    const { code } = await response.json().catch(() => ({}));
    throw new Problem(response.status >= 500 ? "failing" : code, retryMs(response));
  } catch (problem) {
    if (problem instanceof Problem) throw problem;
    throw new Problem(navigator.onLine ? "unreachable" : "offline", 0);
  } finally {
    clearTimeout(timer);
  }
}

function retryMs(response) {
  return Number(response.headers.get("Retry-After")) * 1_000 || 0;
}

// Where the protected site wants its visitor back; null unless the site has signed it.
export async function returnAddress() {
  if (!signedReturn) return null;
  const url = new URL("api/v1/gate/return", base);
  url.search = new URLSearchParams({ room, return: signedReturn });
  try {
    return new URL((await fetchJson(url)).data.url);
  } catch (problem) {
    if (problem.code === "C001") return null;
    throw problem;
  }
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
