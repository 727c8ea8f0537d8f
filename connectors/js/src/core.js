// The connector of a site: decides requests, and speaks to the queue on its behalf.

import { Case, makeRequest } from "./decision.js";
import { Source, Unreachable } from "./source.js";
import { genuine, importSiteKey, newSecret } from "./tokens.js";

export { makeRequest };

const CALL_MS = 300; // Deadline of a call that a request waits for: a claim, or a walk-in.
const FORMED_MS = 1_000; // How long a line that has formed is taken as formed.
const SLIDE_MS = 60_000; // Shortest time between two attempts to slide by the same pass.
const SLIDES_MAX = 2_000; // Most passes whose last attempt is remembered.
const KEY_MIN = 16;

const SETTINGS = [
  "queueUrl", "siteKey", "origins", "cookieDomain", "rules", "log", "share", "unreachableMs",
]; // prettier-ignore

export class SettingsInvalid extends Error {}

// Settings:
//   queueUrl      address of the queue as visitors reach it: "https://queue.example"
//   siteKey       the secret shared with the queue, its WAITLINE_SITE_KEY
//   origins       the site's own addresses: ["https://shop.example"]; the first is the default
//   cookieDomain  share passes with the subdomains of this domain
//   rules         a protection document of the site's own; by default the queue's is fetched
//   log           called with each line of the log; by default console.warn
export class Connector {
  #formed = new Map();
  #slides = new Map();
  #site;

  constructor(settings) {
    const given = { cookieDomain: "", log: console.warn, share: true, ...settings };
    check(given);
    this.siteKey = given.siteKey;
    this.log = given.log;
    const queueUrl = given.queueUrl.replace(/\/$/, "");
    this.source = new Source({ ...given, queueUrl });
    this.#site = importSiteKey(given.siteKey).then((key) => ({
      queueUrl,
      key,
      origins: given.origins.map((origin) => origin.replace(/\/$/, "")),
      cookieDomain: given.cookieDomain,
    }));
  }

  // What becomes of a request; `waitUntil` takes promises that need not delay it.
  async answer(request, waitUntil = ignore) {
    await this.source.ready(waitUntil);
    const secret = newSecret();
    let answers = {};
    let reachable = this.source.reachable;
    let found = await this.decide(request, secret, answers, reachable);
    while (found.call) {
      if (found.call === "walk-in") {
        answers = { ...answers, walkedIn: await this.#walkIn(found.rule.room) };
      } else {
        const claimed = await this.#claim(request, secret, found);
        // Without an answer the rule decides, and no other call is made.
        if (claimed === undefined) reachable = found.rule.whenUnreachable === "open";
        const walkedIn = claimed === undefined ? (answers.walkedIn ?? null) : answers.walkedIn;
        answers = { walkedIn, claimed: claimed ?? reachable };
      }
      found = await this.decide(request, secret, answers, reachable);
    }
    if (found.observed) {
      const { method, target } = request;
      this.log(`waitline: would ${found.observed}: ${method} ${target}, rule ${found.rule.name}`);
    }
    return found;
  }

  // The headers to add to the site's answer: `keep`, or `leave` if the site ends the visit.
  async finish(request, found, waitUntil = ignore) {
    const { visit, rule } = found;
    if (!visit) return { keep: found.headers, leave: found.headers };
    const parts = await this.#case(request, "", {});
    const leave = [parts.cookie(await parts.cookieName(visit.room), "", 0)];
    const token = found.headers.length ? "" : this.#slid(visit, waitUntil);
    if (!token) return { keep: found.headers, leave };
    const slid = await genuine(this.source.snapshot.keys, token);
    const life = (slid.expiresS ?? 0) - parts.nowS;
    return { keep: [await parts.passCookie(visit.room, token, rule.bind, life)], leave };
  }

  // The address of a request on the site, without a pass; with the question whether the cookie was
  // kept, if that is to be checked.
  async address(request, asksKept) {
    return (await this.#case(request, "", {})).address(asksKept);
  }

  // Frees the slot of a visit.
  async leave(visit) {
    try {
      const path = `/api/v1/queue/remove?${new URLSearchParams(named(visit))}`;
      await this.source.call("DELETE", path, { headers: { "X-Queue-Token": visit.token } });
    } catch (error) {
      this.log(`waitline: ${error.message}`);
    }
  }

  async decide(request, secret, answers, reachable = this.source.reachable) {
    return (await this.#case(request, secret, answers, reachable)).decide();
  }

  async #case(request, secret, answers, reachable = true) {
    const { rules, keys } = this.source.snapshot;
    return new Case({
      request,
      rules,
      site: await this.#site,
      verify: (token) => genuine(keys, token),
      revoked: ({ room, place }) => this.source.revoked.get(room)?.has(place) ?? false,
      nowS: Math.floor(Date.now() / 1_000),
      reachable,
      newSecret: () => secret,
      answers,
    });
  }

  // The pass of a visitor who is admitted at once; null if a line has formed.
  async #walkIn(room) {
    const formedMs = this.#formed.get(room) ?? -Infinity;
    if (!this.source.healthy || Date.now() - formedMs < FORMED_MS) return null;
    try {
      const { status, body } = await this.source.call("POST", "/api/v1/gate/walk-in", {
        headers: { "X-Site-Key": this.siteKey },
        body: { concertId: room },
        deadlineMs: CALL_MS,
      });
      if (status === 201) {
        const visit = await genuine(this.source.snapshot.keys, body.data.token);
        if (!visit.refusal && visit.room === room) return visit;
      }
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      this.log(`waitline: ${error.message}`);
    }
    this.#formed.set(room, Date.now());
    return null;
  }

  // Whether a stay is this browser's; undefined without an answer.
  async #claim(request, secret, { visit }) {
    const browser = (await this.#case(request, secret, {})).browser;
    try {
      const { status } = await this.source.call("POST", "/api/v1/gate/claim", {
        headers: { "X-Queue-Token": visit.token },
        body: { ...named(visit), browser },
        deadlineMs: CALL_MS,
      });
      return status === 200;
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      this.log(`waitline: ${error.message}`);
      return undefined;
    }
  }

  // The pass that takes the place of one that is half over, once it is there.
  #slid(visit, waitUntil) {
    const now = Date.now();
    const half = (visit.issuedS + visit.expiresS) / 2;
    if (now / 1_000 < half) return "";
    const slide = this.#slides.get(visit.token) ?? { askedMs: -Infinity, token: "" };
    // While the breaker is open, the queue is left alone.
    if (now - slide.askedMs >= SLIDE_MS && this.source.healthy) {
      slide.askedMs = now;
      if (this.#slides.size >= SLIDES_MAX) this.#slides.delete(this.#slides.keys().next().value);
      this.#slides.set(visit.token, slide);
      waitUntil(this.#slide(visit, slide));
    }
    return slide.token;
  }

  async #slide(visit, slide) {
    try {
      const { status, body } = await this.source.call("POST", "/api/v1/gate/slide", {
        headers: { "X-Queue-Token": visit.token },
        body: named(visit),
      });
      if (status === 200 && body.data.token !== visit.token) slide.token = body.data.token;
    } catch (error) {
      this.log(`waitline: ${error.message}`);
    }
  }
}

function check({ queueUrl, siteKey, origins, ...others }) {
  const unknown = Object.keys(others).find((name) => !SETTINGS.includes(name));
  if (unknown) throw new SettingsInvalid(`${unknown}: unknown; settings are ${SETTINGS.join(", ")}`);
  if (!Array.isArray(origins) || origins.length === 0) {
    throw new SettingsInvalid('origins: a list of addresses, such as ["https://shop.example"]');
  }
  for (const address of [queueUrl, ...origins]) {
    if (!/^https?:\/\//.test(address ?? "")) {
      throw new SettingsInvalid(`queueUrl, origins: ${address} must start with https:// or http://`);
    }
  }
  if ((siteKey ?? "").length < KEY_MIN) {
    throw new SettingsInvalid(`siteKey: at least ${KEY_MIN} characters; see WAITLINE_SITE_KEY`);
  }
}

function named({ room, visitor }) {
  return { concertId: room, userId: visitor };
}

function ignore() {}
