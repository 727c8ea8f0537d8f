// Rules, keys and revoked passes, refreshed in the background of requests (stale while revalidate).
//
// An edge worker has no timers of its own, so a refresh begins with a request, which does not wait
// for it, unless the copy is older than it may ever be: at the first request, and after a pause.

import { parseRules } from "./rules.js";
import { parseKeys } from "./tokens.js";

const REVOKED_MS = 1_000; // A visitor who left is out within two seconds.
const DOCUMENTS_MS = 3_000; // A new key is published five seconds before it signs.
const JITTER = 0.2; // So that the processes of a site do not call at one time.
const DEADLINE_MS = 1_000;
const BODY_MAX = 1_048_576; // More than 100 rules, or 4 096 places, can have.
const FAILURES_MAX = 3; // One alone may be a connection that was closed.
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 10_000;

// Without an answer for so long the queue counts as unreachable, and a copy as too old.
export const UNREACHABLE_MS = 10_000;

export class Unreachable extends Error {}

export class Source {
  snapshot = { rules: parseRules({ rules: [] }), keys: { keys: new Map(), verified: new Map() } };
  revoked = new Map();
  #etags = new Map();
  #ownRules = false;
  #documentsDueMs = 0;
  #revokedDueMs = 0;
  #heardMs = -Infinity;
  #startedMs = -Infinity;
  #flight = undefined;
  #failures = 0;
  #retryMs = 0;

  // `share`: requests that wait may wait for one refresh. Cloudflare Workers forbid it.
  constructor({ queueUrl, siteKey, rules, share, log, unreachableMs = UNREACHABLE_MS }) {
    Object.assign(this, { queueUrl, siteKey, share, log, unreachableMs });
    if (rules) {
      this.snapshot.rules = parseRules(rules);
      this.#ownRules = true;
    }
  }

  get reachable() {
    return Date.now() - this.#heardMs < this.unreachableMs;
  }

  get healthy() {
    return this.#failures < FAILURES_MAX;
  }

  // Refreshes what is due: waits for it if the copy is too old, else hands it to `waitUntil`.
  async ready(waitUntil) {
    const now = Date.now();
    if (now < this.#revokedDueMs || (!this.healthy && now < this.#retryMs)) return;
    if (this.#heardMs === -Infinity || (!this.reachable && this.healthy)) {
      if (!this.share) await this.#refresh();
      else await (this.#flight ??= this.#refresh().finally(() => (this.#flight = undefined)));
    } else if (now - this.#startedMs > DEADLINE_MS * 3 || !this.#flight) {
      this.#startedMs = now;
      this.#flight = this.#refresh().finally(() => (this.#flight = undefined));
      waitUntil(this.#flight);
    }
  }

  // Makes a call to the queue; the answer is {status, body, etag}.
  async call(method, path, { headers = {}, body, deadlineMs = DEADLINE_MS } = {}) {
    const sent = { Accept: "application/json", ...headers };
    if (body) sent["Content-Type"] = "application/json";
    try {
      const response = await fetch(this.queueUrl + path, {
        method,
        headers: sent,
        body: body && JSON.stringify(body),
        redirect: "manual",
        signal: AbortSignal.timeout(deadlineMs),
      });
      const text = await response.text();
      if (response.status >= 500) throw new Error(`status ${response.status}`);
      if (text.length > BODY_MAX) throw new Error(`more than ${BODY_MAX} characters`);
      const parsed = text ? JSON.parse(text) : null;
      this.#failures = 0;
      return { status: response.status, body: parsed, etag: response.headers.get("etag") };
    } catch (error) {
      this.#failures += 1;
      const step = RETRY_MIN_MS * 2 ** Math.min(10, Math.max(0, this.#failures - FAILURES_MAX));
      this.#retryMs = Date.now() + Math.min(RETRY_MAX_MS, step) * (0.5 + Math.random() / 2);
      throw new Unreachable(`${method} ${path.split("?")[0]}: ${error.message}`);
    }
  }

  async #refresh() {
    try {
      if (Date.now() >= this.#documentsDueMs) {
        await this.#fetch("/.well-known/jwks.json", (body) => this.#keepKeys(body));
        if (!this.#ownRules) {
          const headers = { "X-Site-Key": this.siteKey };
          const keep = (body) => (this.snapshot.rules = parseRules(body));
          await this.#fetch("/api/v1/protection", keep, headers);
        }
        this.#documentsDueMs = Date.now() + jittered(DOCUMENTS_MS);
      }
      for (const room of this.snapshot.rules.rooms.keys()) {
        const path = `/api/v1/protection/revoked?room=${encodeURIComponent(room)}`;
        await this.#fetch(path, (body) => this.revoked.set(room, new Set(body.places)));
      }
      this.#revokedDueMs = Date.now() + jittered(REVOKED_MS);
    } catch (error) {
      this.log(`waitline: ${error.message}`);
    }
  }

  async #fetch(path, keep, headers = {}) {
    const etag = this.#etags.get(path);
    const answer = await this.call("GET", path, {
      headers: etag ? { ...headers, "If-None-Match": etag } : headers,
    });
    this.#heardMs = Date.now();
    if (answer.status === 200) {
      await keep(answer.body);
      if (answer.etag) this.#etags.set(path, answer.etag);
    } else if (answer.status !== 304) {
      this.log(`waitline: the queue refuses ${path.split("?")[0]} with status ${answer.status}`);
    }
  }

  async #keepKeys(body) {
    // With the same keys, the passes that they have verified are kept.
    const text = JSON.stringify(body);
    if (text === this.keysText) return;
    this.snapshot.keys = await parseKeys(body);
    this.keysText = text;
  }
}

function jittered(milliseconds) {
  return milliseconds * (1 - JITTER + 2 * JITTER * Math.random());
}
