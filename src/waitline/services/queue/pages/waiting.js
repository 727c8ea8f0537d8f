// The waiting page: takes a place, shows how the line moves, and goes on when it is the visitor's turn.
//
// One loop makes every call, one at a time, so no response overtakes another.

import { allowCalls, keepAwake, startCalling, stopCalling, unlockSound } from "./alerts.js";
import { estimate, smoothed } from "./estimate.js";
import { countdown, localTime } from "./times.js";
import { T, at, figure, isShown, language, put, putForeign, putOrHide, say, show } from "./view.js";
import {
  Problem,
  base,
  call,
  fetchJson,
  forgetPlace,
  keepsPlace,
  loadVisitor,
  onOtherTab,
  placeLink,
  placeOf,
  resetIdentity,
  returnAddress,
  room,
  saveVisitor,
} from "./visitor.js";

const POLL_LEAST_MS = 2_000; // Polling more often brings nothing new.
const RETRY_MS = 1_000;
const RETRY_MAX_MS = 30_000; // How long the page may lag behind a service that has recovered.
const SETTLED_MS = 6_000; // Two polls without a failure: the line is good again.
const TROUBLE_MS = 60_000; // After so long without a failure, the next one is news again.
const AWAY_MS = 150_000; // Browsers let hidden pages run once a minute, which is no break of contact.

const now = () => performance.now();
const serverNow = () => Date.now() + (Number.isFinite(clockAheadMs) ? clockAheadMs : 0);

// --- the line -----------------------------------------------------------------------

let latest = null; // The newest now-serving document.
let shown = Infinity; // The least position so far: visitors would distrust one that rises.
let pace = null;
let range = null;
let clockAheadMs = -Infinity; // How far the server's clock is ahead of this browser's.
let stage = null; // This visitor's newest status.
let expiresMs = 0;
let renew = location.hash === "#renew"; // Whether to prolong the turn, which makes a new pass.
let warned = false; // Whether the last minute of this turn has been announced.
let extensionsSpent = false;
let returnedAt = null; // When this visitor came back after being passed over.
let refused = false; // Whether the service takes no newcomers.
let contactMs = null; // When the service last had contact with this page, by the wall clock.

// Actions by name, and when each is due; an action schedules those that follow it.
const due = new Map();
const actions = {
  async enter() {
    await seen();
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
    const data = await call("GET", "status");
    if (data.status === "EXPIRED") return lapse(data);
    due.set("status", now() + data.recommendedPollIntervalMs);
    if (data.status === "READY") return ready(data);
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
    if (place && isShown("line")) {
      shown = Math.min(shown, Math.max(1, place - fresh.serving));
      if (place <= fresh.serving) soon("status");
    }
    draw();
  },

  async activate() {
    await turn(await call("POST", "activate"));
  },

  async extend() {
    await turn(await call("POST", "extend"));
  },

  async leave() {
    await call("DELETE", "remove");
    end("left");
  },
};

// No place is taken for a page that the browser loads in advance, or for a tab that nobody has seen.
// A place that is there already is kept, seen or not.
async function seen() {
  while (document.prerendering || (document.hidden && !loadVisitor().place)) {
    document.title = `${T.waitingToJoin} – ${roomTitle()}`;
    await new Promise((resolve) => {
      document.addEventListener("prerenderingchange", resolve, { once: true });
      document.addEventListener("visibilitychange", resolve, { once: true });
    });
  }
}

function stand({ position, token, passedOver }) {
  const { place: before, first } = loadVisitor();
  const place = placeOf(token) ?? before;
  if (place !== before || !first) {
    saveVisitor({ place, first: position, over: null });
    shown = Infinity;
    range = null;
    extensionsSpent = false;
  }
  shown = Math.min(shown, Math.max(1, position));
  stage = "WAITING";
  const silentMs = contactMs === null ? 0 : Date.now() - contactMs;
  contactMs = Date.now();
  if (passedOver && passedOver.returnedAt !== returnedAt) {
    returnedAt = passedOver.returnedAt;
    tell(T.returned);
  } else if (silentMs > AWAY_MS) {
    tell(`${T.away(Math.round(silentMs / 1_000))} ${T.kept}`);
  }
  keepAwake(true);
  if (!keepsPlace && placeOf(token)) keepInLink(placeLink(token));
  show("line");
  draw();
}

function tell(news) {
  putOrHide("news", news);
  if (news) say(news);
}

function keepInLink(link) {
  at("keep").hidden = false;
  at("keep-link").href = link;
  history.replaceState(null, "", link);
}

// The turn has come. The visit begins when somebody sees the page, or taps.
function ready({ expiredAt }) {
  stage = "READY";
  contactMs = Date.now();
  expiresMs = Date.parse(expiredAt);
  put("turn-text", T.ready);
  put("left-title", T.readyTitle);
  at("session").hidden = false;
  showTurn();
  if (document.hidden) startCalling(T.called, titled(T.labels["turn-title"]));
  else due.set("activate", now());
}

async function turn({ expiredAt, token }) {
  if (!latest) await actions.nowServing();
  warned = warned && expiresMs === Date.parse(expiredAt);
  stage = "ACTIVE";
  expiresMs = Date.parse(expiredAt);
  const shop = (await returnAddress()) ?? shopAddress();
  const goes = shop !== null && /^https?:$/.test(shop.protocol);
  put("turn-text", goes ? T.going : extensionsSpent ? T.spent : T.turnText);
  put("left-title", T.labels["left-title"]);
  at("session").hidden = goes;
  stopCalling();
  showTurn();
  // A hidden tab goes on when it is seen.
  if (!goes || document.hidden) return;
  if (renew) {
    // The shop sends its visitors back for more time: docs/handover.md.
    renew = false;
    history.replaceState(null, "", location.pathname + location.search);
    return turn(await call("POST", "extend"));
  }
  due.clear();
  const kept = shop.search.slice(1).split("&").filter((pair) => pair && !pair.startsWith("waitline="));
  shop.search = [...kept, `waitline=${token}`].join("&");
  // The back button of the shop must not lead here, which would redirect to the shop again.
  location.replace(shop);
}

function shopAddress() {
  const shop = latest.shopUrl ? new URL(latest.shopUrl, location.href) : null;
  // A shop on the loopback address is where this page came from: phones try the demo by its network.
  if (shop && /^(127\.0\.0\.1|\[::1\]|localhost)$/.test(shop.hostname)) shop.hostname = location.hostname;
  return shop;
}

function showTurn() {
  at("activate").hidden = stage === "ACTIVE";
  at("extend").hidden = stage !== "ACTIVE" || extensionsSpent;
  keepAwake(stage === "READY");
  show("turn", titled(T.labels["turn-title"]));
  tick();
}

function lapse({ passedOver }) {
  end(passedOver ? "passed" : stage === "ACTIVE" ? "expired" : "missed");
}

function end(why) {
  due.clear();
  forgetPlace(why);
  showEnd(why);
}

function showEnd(why) {
  stage = null;
  contactMs = null;
  shown = Infinity;
  stopCalling();
  keepAwake(false);
  tell("");
  put("over-title", T.over[why].title);
  put("over-text", T.over[why].text(latest?.idleSeconds));
  show("over", titled(T.over[why].title));
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
      if (warnedOf === "offline" || now() - troubledMs > SETTLED_MS) put("notice", "");
    } catch (problem) {
      // A bug must not cost a visitor the turn: it is logged, and the action retried.
      if (!(problem instanceof Problem)) console.error(problem);
      await retryLater(name, problem);
    }
  }
}

async function retryLater(name, { code, retryAfterMs = 0 }) {
  if (code === "Q001") return end("gone");
  if (code === "Q002") return end(stage === "READY" ? "missed" : "expired");
  if (code === "Q005") {
    extensionsSpent = true;
    return soon("status");
  }
  if (["offline", "unreachable", "failing"].includes(code)) warnOfTrouble(code);
  else {
    warn(code);
    refused = name === "enter";
    draw();
  }
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

let troubledMs = -Infinity; // When a call last failed on its way.
let announced = false; // Whether this trouble has been.
let warnedOf = "";

// On a bad line one call in some fails: a single one is not worth a word, and all together are
// announced once.
function warnOfTrouble(code) {
  const isNew = now() - troubledMs > TROUBLE_MS;
  troubledMs = now();
  announced = announced && !isNew;
  if (isNew && code !== "offline") return;
  warn(code, announced);
  announced = true;
}

function warn(code, silently = false) {
  warnedOf = code;
  const kept = loadVisitor().place ? ` ${T.kept}` : "";
  const text = (T.problems[code] ?? T.problems.other) + kept;
  if (put("notice", text) && !silently) say(text);
}

// --- the page -----------------------------------------------------------------------

function roomTitle() {
  return at("room").textContent;
}

function titled(text) {
  return `${text} – ${roomTitle()}`;
}

function opensInMs() {
  return latest?.opensAt ? Date.parse(latest.opensAt) - serverNow() : 0;
}

function draw() {
  if (latest) drawRoom();
  const placed = shown !== Infinity;
  at("line").classList.toggle("placed", placed);
  at("standing").hidden = at("position").hidden = !placed;
  put("line-title", placed ? T.position : refused ? T.notJoined : T.labels["line-title"]);
  if (!placed || !isShown("line")) return;
  const position = figure(shown);
  const first = Math.max(loadVisitor().first, shown);
  const percent = first > 1 ? Math.floor(((first - shown) / (first - 1)) * 100) : 100;
  document.title = titled(`#${position}`);
  const moved = put("position", position);
  at("position").style.setProperty("--chars", position.length);
  put("waiting", T.waiting(figure(Math.max(latest?.waiting ?? 0, shown)), shown));
  at("bar").style.width = `${percent}%`;
  at("progress").setAttribute("aria-valuenow", percent);
  at("progress").setAttribute("aria-valuetext", T.progress(percent, position));
  // Announced when the estimate changes, not at every new position.
  at("estimate-title").hidden = Boolean(standstill()) || !pace;
  if (put("estimate", wait())) say(T.spoken(position, wait()));
  else if (moved) say("");
}

function drawRoom() {
  const upcoming = opensInMs() > 0;
  const mode = upcoming ? "upcoming" : latest.mode;
  putForeign("room", latest.title ? latest.titles : { "": room });
  putForeign("message", latest.messages);
  putOrHide("mode", T.modes[mode] ?? mode);
  at("mode").dataset.mode = mode;
  at("opening").hidden = !upcoming;
  at("pace").hidden = upcoming;
  if (upcoming) put("opens-at", T.opensAt(localTime(language, Date.parse(latest.opensAt))));
  const closesMs = latest.closesAt ? Date.parse(latest.closesAt) : 0;
  const closes = closesMs > serverNow() && mode !== "closed";
  putOrHide("closes-at", closes ? T.closesAt(localTime(language, closesMs)) : "");
  const hints = { upcoming: T.opensHint, "sold-out": T.soldOutHint, closed: T.closedHint };
  put("hint", hints[mode] ?? T.labels.hint);
  // A service that gives no place back does not count who `returned`.
  const back = "returned" in latest ? latest.returnSeconds : 0;
  putOrHide("rule", latest.idleSeconds ? T.rule(latest.idleSeconds, back) : "");
  tick();
}

// Why nobody is admitted; empty while visitors are.
function standstill() {
  if (opensInMs() > 0) return T.modes.upcoming;
  if (latest?.mode === "sold-out") return T.soldOut;
  if (latest?.mode === "closed") return T.closed;
  return latest && !["open", "draining"].includes(latest.mode) ? T.stopped : "";
}

function wait() {
  const why = standstill();
  if (why || !pace) return why || T.unknown;
  range = estimate(shown, pace, range);
  return T.wait(range.low, range.high);
}

function tick() {
  if (isShown("line") && !at("opening").hidden) {
    put("opens-in", countdown(opensInMs() / 1_000, T.days));
    if (opensInMs() <= 0) soon("nowServing");
  }
  if (!isShown("turn") || at("session").hidden) return;
  const leftS = Math.max(0, Math.round((expiresMs - serverNow()) / 1_000));
  put("left", countdown(leftS, T.days));
  if (leftS <= 60 && !warned) say(T.lastMinute);
  warned = warned || leftS <= 60;
  if (leftS === 0) soon("status");
}

function lookAgain() {
  if (document.visibilityState !== "visible") return;
  if (stage === "READY") doNow("activate");
  soon(...due.keys());
}

function drawAlert() {
  const { calls } = loadVisitor();
  at("alert").hidden = Boolean(calls);
  putOrHide("alert-on", calls ? T.alertOn[calls] : "");
}

at("alert").onclick = async () => {
  saveVisitor({ calls: (await allowCalls()) ? "both" : "sound" });
  drawAlert();
};
// Browsers forget at a reload that sound was allowed.
document.addEventListener("pointerdown", () => loadVisitor().calls && unlockSound(), { once: true });

at("copy").onclick = async () => {
  await navigator.clipboard?.writeText(at("keep-link").href);
  put("copy", T.copied);
};
at("activate").onclick = () => doNow("activate");
at("extend").onclick = () => doNow("extend");
at("again").onclick = () => doNow("enter");
for (const panel of ["line", "turn"]) {
  at(`leave-${panel}`).onclick = () => confirm(T.confirmLeave[panel]) && doNow("leave");
}
document.addEventListener("visibilitychange", lookAgain);
addEventListener("pageshow", lookAgain);
addEventListener("online", lookAgain);
addEventListener("hashchange", () => location.reload());
onOtherTab(({ place, over }) => {
  contactMs = null;
  if (place) return doNow("enter");
  due.clear();
  showEnd(over ?? "gone");
});
setInterval(tick, 1_000);

document.title = room;
put("room", room);
at("copy").hidden = !navigator.clipboard;
drawAlert();
if (keepsPlace || loadVisitor().place) {
  due.set("enter", now());
} else {
  show("gate", titled(T.labels["gate-title"]));
  due.set("nowServing", now());
  at("join").onclick = () => {
    show("line", room);
    doNow("enter");
  };
}
run();
