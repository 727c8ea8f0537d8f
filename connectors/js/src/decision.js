// Decisions: what becomes of a request, by rules, cookies and time. Pure.
//
// A decision is {outcome, status, headers, body, rule, visit, observed, call}. With status 0 the site
// answers, and `headers` are added to its answer. With `call` a call to the queue decides: the caller
// makes it and decides again with the result in `answers`.

import * as pages from "./pages.js";
import { cookiesOf, matchRule, normalHost, normalPath } from "./rules.js";
import { bind, roomDigest, same, signReturn } from "./tokens.js";

const LEEWAY_S = 5;
const RETRY_S = "10";
const BROWSER_S = 400 * 24 * 3_600;
const KEPT = "kept";

const NO_STORE = [["Cache-Control", "no-store"]];
const RETRY = [...NO_STORE, ["Retry-After", RETRY_S]];
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'";
const UNOBSERVED = ["bypass", "pass", "exchange", "call"];

// A request: `target` is the path as sent, `query` the query string without `?`, `headers` are by
// name in lower case.
export function makeRequest({ method, host, target, query, headers }) {
  return {
    method,
    host,
    target,
    query,
    headers,
    cookies: cookiesOf(headers.cookie ?? ""),
    normalHost: normalHost(host),
    normalPath: normalPath(target),
  };
}

// Kinds of requests for a page that a visitor sees.
const SHOWN = ["page", "frame"];

const FRAMES = ["iframe", "frame", "embed", "object"];

// Whether a page of another site makes the request.
const isForeign = ({ headers }) => headers["sec-fetch-site"] === "cross-site";

// `page`, `frame`, `form`, `script`, or `idle`: what takes no place in a line.
export function kindOf({ method, headers }) {
  if (method === "HEAD" || "range" in headers) return "idle";
  for (const name of ["sec-purpose", "purpose", "x-purpose", "x-moz"]) {
    if (/prefetch|prerender|preview/.test(headers[name] ?? "")) return "idle";
  }
  const html = (headers.accept ?? "").includes("text/html");
  if (method === "GET") {
    const shown = headers["sec-fetch-dest"];
    if (FRAMES.includes(shown)) return "frame";
    return html || shown === "document" ? "page" : "script";
  }
  return html || headers["sec-fetch-mode"] === "navigate" ? "form" : "script";
}

// Everything that a decision depends on:
//   request, rules, and site: {queueUrl, key, origins, cookieDomain}
//   verify(token): what a pass proves, without regard to time
//   revoked(visit): whether a stay has ended early
//   nowS, reachable, newSecret(), answers: {claimed, walkedIn}
export class Case {
  constructor(parts) {
    Object.assign(this, { reachable: true, answers: {} }, parts);
  }

  async decide() {
    const { request, rules } = this;
    if (request.method === "OPTIONS" && "access-control-request-method" in request.headers) {
      return decision("bypass");
    }
    const rule = matchRule(rules, request);
    const guard = rule?.action === "queue" ? rule : undefined;
    let found;
    if (request.query.includes("waitline=")) found = await this.#handedOver(guard);
    found ??= guard ? await this.#guarded(guard) : decision("bypass", rule);
    if (rule?.mode === "observe" && !UNOBSERVED.includes(found.outcome)) {
      return decision("pass", rule, { observed: found.outcome });
    }
    return found;
  }

  // --- a pass in the cookie, or none -----------------------------------------------------

  async #guarded(rule) {
    const visit = await this.#ofCookie(rule);
    if (visit && !visit.refusal) return decision("pass", rule, { visit });
    const { walkedIn, claimed } = this.answers;
    if (walkedIn && rule.bind && claimed === undefined) {
      return decision("call", rule, { visit: walkedIn, call: "claim" });
    }
    if (walkedIn && (!rule.bind || claimed)) return this.#exchanged(rule, walkedIn, "pass");
    return this.reachable ? this.#withoutPass(rule) : this.#unreachable(rule);
  }

  async #withoutPass(rule) {
    const kind = kindOf(this.request);
    // A frame of another site gets none of our cookies, so a slot would be lost with each page.
    const stays = kind === "page" || (kind === "frame" && !isForeign(this.request));
    if (stays && this.answers.walkedIn === undefined && rule.mode === "enforce") {
      return decision("call", rule, { call: "walk-in" });
    }
    if (kind === "page") return this.#wait(rule);
    // The waiting page shows itself in no frame, so that no site can hide it.
    if (kind === "frame") {
      return this.#page("frame", rule, 429, await this.#line(rule, this.address()));
    }
    if (kind === "form") {
      return this.#page("form", rule, 429, await this.#line(rule, this.#beforeForm()));
    }
    const line = kind === "idle" ? "" : await this.#line(rule, this.address());
    return this.#document("refuse", rule, 429, "Q006", line);
  }

  async #ofCookie(rule) {
    const value = this.#cookieValue(await this.cookieName(rule.room));
    if (!value) return undefined;
    const [token, mark = ""] = value.split("~");
    if (rule.bind) {
      const secret = this.#keptSecret();
      if (!secret || !same(await bind(this.site.key, token, secret), mark)) {
        return { refusal: "other-browser" };
      }
    }
    return this.check(token, rule.room);
  }

  // What a pass proves now, for a room.
  async check(token, room) {
    const visit = await this.verify(token);
    if (visit.refusal) return visit;
    if (visit.room !== room) return { refusal: "room" };
    if (visit.expiresS + LEEWAY_S <= this.nowS) return { refusal: "expired" };
    return this.revoked(visit) ? { refusal: "revoked" } : visit;
  }

  // --- a pass in the address -------------------------------------------------------------

  async #handedOver(guard) {
    const pair = this.#pairs().find((one) => one.startsWith("waitline="));
    const value = pair?.slice("waitline=".length);
    if (!value) return undefined;
    if (value === KEPT) return this.#kept(guard);
    const rule = await this.#ruleOf(value, guard);
    if (!rule) return undefined;
    const visit = await this.check(value, rule.room);
    if (!visit.refusal) {
      if (rule.bind && this.answers.claimed === undefined) {
        return decision("call", rule, { visit, call: "claim" });
      }
      if (!rule.bind || this.answers.claimed) return this.#exchanged(rule, visit, "exchange");
    }
    return this.#notAccepted(rule, guard, visit);
  }

  async #ruleOf(token, guard) {
    const visit = await this.verify(token);
    if (guard && (visit.refusal || visit.room === guard.room)) return guard;
    return visit.refusal ? undefined : this.rules.rooms.get(visit.room);
  }

  async #notAccepted(rule, guard, visit) {
    const kept = await this.#ofCookie(rule);
    if (kept && !kept.refusal) return this.#redirect("exchange", rule, 303, this.address());
    if (!this.reachable && (!visit.refusal || visit.refusal === "key-unknown")) {
      return this.#unreachable(rule);
    }
    if (!guard) return this.#redirect("exchange", rule, 303, this.address());
    if (!SHOWN.includes(kindOf(this.request))) return undefined;
    // Not a redirect: the waiting page would hand over the same pass at once.
    const line = await this.#line(rule, this.address(), "#renew");
    return this.#page("refused", rule, 403, line);
  }

  async #exchanged(rule, visit, outcome) {
    const known = this.#keptSecret() !== "";
    const life = visit.expiresS - this.nowS;
    const headers = [await this.passCookie(rule.room, visit.token, rule.bind, life)];
    if (!known) headers.push(this.#browserCookie());
    if (outcome === "pass" || this.request.method !== "GET") {
      return decision("pass", rule, { visit, headers });
    }
    const found = this.#redirect(outcome, rule, 303, this.address(!known));
    found.visit = visit;
    found.headers.push(...headers, ["Referrer-Policy", "no-referrer"]);
    return found;
  }

  async #kept(guard) {
    if (!SHOWN.includes(kindOf(this.request))) return undefined;
    for (const room of guard ? [guard.room] : this.rules.rooms.keys()) {
      if (this.request.cookies.has(await this.cookieName(room))) {
        return this.#redirect("exchange", guard, 303, this.address());
      }
    }
    return this.#page("cookies", guard, 403, this.address());
  }

  // --- answers ---------------------------------------------------------------------------

  async #wait(rule) {
    const found = this.#redirect("wait", rule, 302, await this.#line(rule, this.address()));
    if (!this.#keptSecret()) found.headers.push(this.#browserCookie());
    return found;
  }

  #unreachable(rule) {
    if (rule.whenUnreachable === "open") return decision("open", rule);
    if ([...SHOWN, "form"].includes(kindOf(this.request))) {
      return this.#page("unreachable", rule, 503, this.address());
    }
    return this.#document("unreachable", rule, 503, "E003", "");
  }

  #redirect(outcome, rule, status, address) {
    return decision(outcome, rule, { status, headers: [["Location", address], ...NO_STORE] });
  }

  #page(name, rule, status, address) {
    const headers = [
      ["Content-Type", "text/html; charset=utf-8"],
      ["Content-Security-Policy", POLICY],
      ["Referrer-Policy", "no-referrer"],
      ...(status === 403 ? NO_STORE : RETRY),
    ];
    return decision(name, rule, {
      status,
      headers,
      body: pages.page(name, this.#language(), address),
    });
  }

  #document(outcome, rule, status, code, line) {
    const headers = [["Content-Type", "application/json"], ...RETRY];
    const body = pages.refusal(code, this.#language(), line);
    return decision(outcome, rule, { status, headers, body });
  }

  #language() {
    return pages.languageOf(this.request.headers["accept-language"] ?? "");
  }

  // --- addresses and cookies -------------------------------------------------------------

  #origin() {
    const host = this.request.host.toLowerCase();
    const { origins } = this.site;
    return origins.find((one) => one.split("://")[1].toLowerCase() === host) ?? origins[0];
  }

  #pairs() {
    return this.request.query.split("&");
  }

  // The address of the request, without the pass.
  address(asksKept = false) {
    const pairs = this.#pairs().filter((pair) => pair && pair.split("=")[0] !== "waitline");
    if (asksKept) pairs.push(`waitline=${KEPT}`);
    const target = `/${this.request.target.replace(/^\//, "")}`;
    return this.#origin() + quoted(target + (pairs.length ? `?${pairs.join("&")}` : ""));
  }

  // The page that the form is on, if it is one of ours, else the form's target.
  #beforeForm() {
    const before = this.request.headers.referer ?? "";
    return before.startsWith(`${this.#origin()}/`) ? before.split("#")[0] : this.address();
  }

  async #line(rule, address, fragment = "") {
    const back = await signReturn(this.site.key, address, rule.room, this.nowS);
    const room = encodeURIComponent(rule.room).replace(/[!'()*]/g, percent);
    const page = `${this.site.queueUrl}/rooms/${room}`;
    return back ? `${page}?return=${back}${fragment}` : page + fragment;
  }

  async cookieName(room) {
    return this.#named(`pass-${await roomDigest(room)}`);
  }

  #named(name) {
    const prefix = this.site.cookieDomain ? "__Secure-" : "__Host-";
    return `${this.#secure() ? prefix : ""}waitline-${name}`;
  }

  #secure() {
    return this.#origin().startsWith("https:");
  }

  #cookieValue(name) {
    return this.request.cookies.get(name)?.[0] ?? "";
  }

  #keptSecret() {
    return this.#cookieValue(this.#named("browser"));
  }

  // The secret of this browser, a new one if it has none.
  get browser() {
    this.madeSecret ??= this.#keptSecret() || this.newSecret();
    return this.madeSecret;
  }

  #browserCookie() {
    return this.cookie(this.#named("browser"), this.browser, BROWSER_S);
  }

  async passCookie(room, token, bound, lifeS) {
    const mark = bound ? `~${await bind(this.site.key, token, this.browser)}` : "";
    return this.cookie(await this.cookieName(room), token + mark, lifeS);
  }

  // A `Set-Cookie` header; a life of 0 deletes the cookie.
  cookie(name, value, lifeS) {
    const domain = this.site.cookieDomain ? `; Domain=${this.site.cookieDomain}` : "";
    const life = `Path=/${domain}; Max-Age=${Math.max(0, lifeS)}`;
    const secure = this.#secure() ? "; Secure" : "";
    return ["Set-Cookie", `${name}=${value}; ${life}; HttpOnly; SameSite=Lax${secure}`];
  }
}

function decision(outcome, rule, parts = {}) {
  return { outcome, rule, status: 0, headers: [], body: "", observed: "", ...parts };
}

function quoted(text) {
  return text.replace(/[^A-Za-z0-9_.~/?:@!$&'()*+,;=%[\]-]/g, percent);
}

function percent(char) {
  return `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
}
