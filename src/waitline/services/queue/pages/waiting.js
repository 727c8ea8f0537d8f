// The waiting page: takes a place, shows how the line moves, and redirects when it is the visitor's turn.
//
// One loop makes every call, one at a time, so no response overtakes another. Input from the server
// and the address is set as text, never as markup.

import { estimate, smoothed } from "./estimate.js";
import { TEXTS } from "./texts.js";
import {
  Problem,
  base,
  call,
  fetchJson,
  forgetPlace,
  loadVisitor,
  resetIdentity,
  room,
  saveVisitor,
} from "./visitor.js";

const POLL_LEAST_MS = 2_000; // Polling more often brings nothing new.
const RETRY_MS = 1_000;
const RETRY_MAX_MS = 30_000; // How long the page may lag behind a service that has recovered.

const language =
  navigator.languages.map((tag) => tag.split("-")[0]).find((tag) => tag in TEXTS) ?? "ko";
const T = TEXTS[language];
const figures = new Intl.NumberFormat(language);
const at = (id) => document.getElementById(id);
const now = () => performance.now();

// --- the line -----------------------------------------------------------------------

let latest = null; // The newest now-serving document.
let shown = Infinity; // The least position so far: visitors would distrust one that rises.
let pace = null;
let range = null;
let clockAheadMs = -Infinity; // How far the server's clock is ahead of this browser's.
let expiresMs = 0;
let warned = false; // Whether the last minute of this turn has been announced.

// Actions by name, and when each is due; an action schedules those that follow it.
const due = new Map();
const actions = {
  async enter() {
    const data = await call("POST", "enter").catch((problem) => {
      // The shop's statement is over, or lost with a reload: the token may still prove the place.
      const unstated = problem.code === "C002" || problem.code === "Q003";
      if (unstated && loadVisitor().place) return {};
      throw problem;
    });
    due.set("nowServing", now());
    if (data.status !== "WAITING") return due.set("status", now());
    stand(data);
    due.set("status", now() + Math.max(POLL_LEAST_MS, data.retryAfterMs));
  },

  async status() {
    let data = await call("GET", "status");
    if (data.status === "READY") data = await call("POST", "activate");
    if (data.status === "EXPIRED") return end("expired");
    due.set("status", now() + data.recommendedPollIntervalMs);
    return data.status === "ACTIVE" ? turn(data) : stand(data);
  },

  async nowServing() {
    const path = `api/v1/rooms/${encodeURIComponent(room)}/now-serving`;
    const fresh = await fetchJson(new URL(path, base));
    due.set("nowServing", now() + fresh.pollAfterMs);
    // Caches and workers differ: an older document would move the line backwards.
    if (latest && fresh.asOfMs < latest.asOfMs) return;
    latest = fresh;
    clockAheadMs = Math.max(clockAheadMs, fresh.asOfMs - Date.now());
    pace = smoothed(pace, fresh.ratePerSecond);
    const { place } = loadVisitor();
    if (place && !at("line").hidden) {
      shown = Math.min(shown, Math.max(1, place - fresh.serving));
      if (place <= fresh.serving) soon("status");
    }
    draw();
  },

  async extend() {
    await turn(await call("POST", "extend"));
  },

  async leave() {
    await call("DELETE", "remove");
    end("left");
  },
};

function stand({ position, token }) {
  const { place: before, first } = loadVisitor();
  const place = /^[at]1\./.test(token) ? Number(token.split(".")[2]) : before;
  if (place !== before || !first) {
    saveVisitor({ place, first: position });
    shown = Infinity;
    range = null;
    at("extend").hidden = false;
  }
  shown = Math.min(shown, Math.max(1, position));
  show("line");
  draw();
}

async function turn({ expiredAt, token }) {
  if (!latest) await actions.nowServing();
  warned &&= expiresMs === Date.parse(expiredAt);
  expiresMs = Date.parse(expiredAt);
  const shop = latest.shopUrl ? new URL(latest.shopUrl, location.href) : null;
  const goes = /^https?:$/.test(shop?.protocol);
  at("turn-text").textContent = goes ? T.going : at("extend").hidden ? T.spent : T.turnText;
  at("session").hidden = goes;
  show("turn");
  if (!goes) return tick();
  due.clear();
  shop.searchParams.set("waitline", token);
  // The back button of the shop must not lead here, which would redirect to the shop again.
  location.replace(shop);
}

function end(why) {
  due.clear();
  forgetPlace();
  at("over-title").textContent = T.over[why].title;
  at("over-text").textContent = T.over[why].text;
  show("over");
}

// --- the loop -----------------------------------------------------------------------

let failing = null; // The action that failed: it alone is retried until it succeeds.
let failures = 0;
const lastMs = new Map();
let wake = () => {};

function soon(...names) {
  for (const name of names) {
    const earliest = Math.max(now(), (lastMs.get(name) ?? -Infinity) + POLL_LEAST_MS);
    due.set(name, Math.min(due.get(name) ?? Infinity, earliest));
  }
  wake();
}

// A button goes ahead of an action that is being retried.
function doNow(name) {
  failing = null;
  due.set(name, -Infinity);
  wake();
}

async function next() {
  for (;;) {
    const name = failing ?? [...due.keys()].sort((one, two) => due.get(one) - due.get(two))[0];
    const waitMs = name ? due.get(name) - now() : RETRY_MAX_MS;
    if (waitMs <= 0) return name;
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, waitMs);
      wake = () => resolve(clearTimeout(timer));
    });
  }
}

async function run() {
  for (;;) {
    const name = await next();
    due.delete(name);
    lastMs.set(name, now());
    failing = null;
    try {
      await actions[name]();
      failures = 0;
      put("notice", "");
    } catch (problem) {
      // A bug must not cost a visitor the turn: it is logged, and the action retried.
      if (!(problem instanceof Problem)) console.error(problem);
      await retryLater(name, problem);
    }
  }
}

async function retryLater(name, { code, retryAfterMs = 0 }) {
  if (code === "Q001") return end("gone");
  if (code === "Q002") return end("expired");
  if (code === "Q005") {
    at("extend").hidden = true;
    return soon("status");
  }
  const place = loadVisitor().place ? ` ${T.kept}` : "";
  put("notice", (T.problems[code] ?? T.problems.other) + place);
  // The room's message may say why nobody can join.
  if (code === "C005" || code === "Q004") await actions.nowServing().catch(() => {});
  if (code === "Q003") {
    resetIdentity();
    due.clear();
    name = "enter";
  }
  const doubledMs = RETRY_MS * 2 ** Math.min(failures++, 5) * (0.75 + Math.random() / 2);
  due.set(name, now() + Math.min(RETRY_MAX_MS, Math.max(retryAfterMs, doubledMs)));
  failing = name;
}

// --- the page -----------------------------------------------------------------------

function show(panel) {
  if (!at(panel).hidden) return;
  for (const id of ["line", "turn", "over"]) at(id).hidden = id !== panel;
  at(`${panel}-title`).focus();
  if (panel !== "line") document.title = `${at(`${panel}-title`).textContent} – ${roomTitle()}`;
}

// Screen readers announce every write to a live region, so only changes are written.
function put(id, text) {
  const changes = at(id).textContent !== text;
  if (changes) at(id).textContent = text;
  return changes;
}

function roomTitle() {
  return latest?.title || room;
}

function draw() {
  if (latest) {
    put("room", roomTitle());
    put("message", latest.message);
    at("message").hidden = !latest.message;
    put("mode", T.modes[latest.mode] ?? latest.mode);
    at("mode").dataset.mode = latest.mode;
    at("mode").hidden = false;
    put("hint", latest.mode === "sold-out" ? T.soldOutHint : T.labels.hint);
  }
  at("standing").hidden = shown === Infinity;
  if (shown === Infinity || at("line").hidden) return;
  const position = figures.format(shown);
  const first = Math.max(loadVisitor().first, shown);
  const percent = first > 1 ? Math.floor(((first - shown) / (first - 1)) * 100) : 100;
  document.title = `#${position} – ${roomTitle()}`;
  put("position", position);
  at("position").style.setProperty("--chars", position.length);
  put("waiting", T.waiting(figures.format(Math.max(latest?.waiting ?? 0, shown)), shown));
  at("bar").style.width = `${percent}%`;
  at("progress").setAttribute("aria-valuenow", percent);
  at("progress").setAttribute("aria-valuetext", T.progress(percent, position));
  // Announced when the estimate changes, not at every new position.
  if (put("estimate", wait())) put("spoken", T.spoken(position, wait()));
}

function wait() {
  if (latest?.mode === "sold-out") return T.soldOut;
  if (latest && !["open", "draining"].includes(latest.mode)) return T.stopped;
  if (!pace) return T.unknown;
  range = estimate(shown, pace, range);
  return T.wait(range.low, range.high);
}

function tick() {
  if (at("turn").hidden || at("session").hidden) return;
  const leftS = Math.max(0, Math.round((expiresMs - Date.now() - clockAheadMs) / 1_000));
  at("left").textContent = `${Math.floor(leftS / 60)}:${String(leftS % 60).padStart(2, "0")}`;
  if (leftS <= 60 && !warned) put("spoken", T.lastMinute);
  warned ||= leftS <= 60;
  if (leftS === 0) soon("status");
}

function pollAllSoon() {
  if (document.visibilityState === "visible") soon(...due.keys());
}

document.documentElement.lang = language;
document.title = room;
at("room").textContent = room;
for (const [id, text] of Object.entries(T.labels)) at(id).textContent = text;
at("extend").onclick = () => doNow("extend");
at("again").onclick = () => doNow("enter");
for (const panel of ["line", "turn"]) {
  at(`leave-${panel}`).onclick = () => confirm(T.confirmLeave[panel]) && doNow("leave");
}
document.addEventListener("visibilitychange", pollAllSoon);
addEventListener("online", pollAllSoon);
setInterval(tick, 1_000);
due.set("enter", now());
run();
