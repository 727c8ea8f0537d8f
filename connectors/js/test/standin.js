// A queue whose answers a test sets, and that can be broken or slow; and a browser that keeps cookies.

import { createServer } from "node:http";

export const SITE_KEY = "site-key-of-the-tests";

const queueRule = (name, room, path, more = {}) => ({
  name,
  action: "queue",
  room,
  when: { path: [path] },
  ...more,
});
const RULES = {
  version: 1,
  rules: [
    queueRule("closed", "summer", "/closed/*", { whenUnreachable: "closed" }),
    queueRule("bound", "winter", "/bound/*", { bind: true }),
    queueRule("watched", "summer", "/watched/*", { mode: "observe" }),
    queueRule("tickets", "summer", "/buy/*"),
  ],
};

const pair = await crypto.subtle.generateKey({ name: "Ed25519" }, true, ["sign", "verify"]);
const { x } = await crypto.subtle.exportKey("jwk", pair.publicKey);

const base64url = (data) => Buffer.from(data).toString("base64url");

// A pass that ends in `leftS` seconds.
export async function mint(room = "summer", { leftS = 300, spanS = 300, place = 1 } = {}) {
  const nowS = Math.floor(Date.now() / 1_000);
  const header = { alg: "EdDSA", kid: "tests", typ: "waitline-pass+jwt" };
  const claims = {
    iss: "waitline",
    aud: room,
    sub: `visitor-${place}`,
    place,
    joined: nowS * 1_000,
    iat: nowS + leftS - spanS,
    exp: nowS + leftS,
  };
  const signed = [header, claims].map((part) => base64url(JSON.stringify(part))).join(".");
  const signature = await crypto.subtle.sign("Ed25519", pair.privateKey, Buffer.from(signed));
  return `${signed}.${base64url(signature)}`;
}

export class Queue {
  calls = [];
  revoked = {};
  walkIn = null;
  claims = new Map();
  slid = "";
  broken = false;
  held = Promise.resolve();

  count(path) {
    return this.calls.filter((called) => called.split("?")[0] === path).length;
  }

  async open() {
    this.server = createServer(async (request, response) => {
      let text = "";
      for await (const part of request) text += part;
      this.calls.push(request.url);
      await this.held;
      const [status, body] = this.broken ? [500, {}] : this.#answer(request, text);
      response.writeHead(status, { "Content-Type": "application/json" });
      response.end(JSON.stringify(body));
    });
    this.url = await listening(this.server);
    return this;
  }

  close() {
    this.server.close();
    this.server.closeAllConnections();
  }

  #answer({ url, headers }, text) {
    const token = headers["x-queue-token"];
    const path = url.split("?")[0];
    if (path === "/.well-known/jwks.json") {
      return [200, { keys: [{ kty: "OKP", crv: "Ed25519", kid: "tests", x }] }];
    }
    if (path === "/api/v1/protection") {
      return headers["x-site-key"] === SITE_KEY ? [200, RULES] : [401, {}];
    }
    if (path === "/api/v1/protection/revoked") {
      return [200, { places: this.revoked[url.split("room=")[1]] ?? [] }];
    }
    if (path === "/api/v1/gate/walk-in") {
      return this.walkIn ? [201, { data: { token: this.walkIn } }] : [409, {}];
    }
    if (path === "/api/v1/gate/claim") {
      const { browser } = JSON.parse(text);
      if (!this.claims.has(token)) this.claims.set(token, browser);
      return this.claims.get(token) === browser ? [200, {}] : [409, {}];
    }
    if (path === "/api/v1/gate/slide") return [200, { data: { token: this.slid || token } }];
    return path === "/api/v1/queue/remove" ? [200, { data: null }] : [404, {}];
  }
}

export async function listening(server) {
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${server.address().port}`;
}

// A browser without a window; `send(path, options)` makes a request and returns a Response.
export class Browser {
  cookies = new Map();

  constructor(send) {
    this.send = send;
  }

  async get(path, headers = {}, method = "GET") {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await this.send(path, {
      method,
      redirect: "manual",
      headers: { Accept: "text/html", "Accept-Language": "en", ...(cookie && { cookie }), ...headers },
    });
    for (const line of response.headers.getSetCookie()) {
      const [pair, ...attributes] = line.split("; ");
      const [name, value] = [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)];
      if (attributes.includes("Max-Age=0")) this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    return { status: response.status, headers: response.headers, body: await response.text() };
  }
}

// Waits until a condition holds, with a deadline.
export async function until(condition, what) {
  const deadline = Date.now() + 20_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`${what}: not within 20 s`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
