// A Node server, a Worker, a server of the Fetch API and CloudFront, in front of a queue's stand-in.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { afterEach, beforeEach, describe, test } from "node:test";

import * as deno from "../src/deno.js";
import * as lambda from "../src/lambda.js";
import { waitline } from "../src/node.js";
import * as worker from "../src/worker.js";
import { Browser, listening, mint, Queue, SITE_KEY, until } from "./standin.js";

const ORIGIN = "https://shop.example";
const LEAVES = { "Waitline-Leave": "1" };

const answer = (visit) => `visitor=${visit?.visitor ?? null}`;

// How each kind of site is opened: returns {send, close}.
const SITES = {
  async node(settings) {
    const guard = waitline({ ...settings, origins: ["http://shop.example"] });
    const server = createServer((request, response) => {
      guard(request, response, () => {
        const headers = request.url.includes("leave") ? LEAVES : {};
        response.writeHead(200, headers).end(answer(request.waitline));
      });
    });
    const url = await listening(server);
    const close = () => (server.close(), server.closeAllConnections());
    return { send: (path, options) => fetch(url + path, options), close, origin: "http://shop.example" };
  },

  worker(settings) {
    const site = worker.protect(
      (env) => ({ ...settings, siteKey: env.SITE_KEY }),
      (request, env, ctx, visit) =>
        new Response(answer(visit), { headers: request.url.includes("leave") ? LEAVES : {} }),
    );
    const ctx = { waitUntil: (promise) => void promise };
    const env = { SITE_KEY };
    return { send: (path, options) => site.fetch(new Request(ORIGIN + path, options), env, ctx) };
  },

  deno(settings) {
    const site = deno.protect(
      settings,
      (request, info, visit) =>
        new Response(answer(visit), { headers: request.url.includes("leave") ? LEAVES : {} }),
    );
    return { send: (path, options) => site(new Request(ORIGIN + path, options), {}) };
  },

  lambda(settings) {
    const site = lambda.protect(settings);
    const send = async (path, { method, headers }) => {
      const lines = Object.entries({ host: "shop.example", ...headers });
      const request = {
        method,
        uri: path.split("?")[0],
        querystring: path.split("?")[1] ?? "",
        headers: Object.fromEntries(
          lines.map(([key, value]) => [key.toLowerCase(), [{ key, value }]]),
        ),
      };
      const event = (response) => ({ Records: [{ cf: { request, response } }] });
      const passed = await site.viewerRequest(event());
      let found = passed;
      if (passed === request) {
        const left = path.includes("leave") ? { "waitline-leave": [{ value: "1" }] } : {};
        found = await site.viewerResponse(event({ status: "200", headers: left }));
      }
      const flat = Object.entries(found.headers).flatMap(([name, values]) =>
        values.map(({ value }) => [name, value]),
      );
      return new Response(found.body || null, { status: Number(found.status), headers: flat });
    };
    return { send };
  },
};

const wayBack = (location) => {
  const [text] = new URL(location).searchParams.get("return").split(".");
  return JSON.parse(Buffer.from(text, "base64url").toString("utf-8"));
};

function testsOf(kind, open) {
  describe(kind, { concurrency: 1 }, () => {
    let queue, site, browser, lines;

    beforeEach(async () => {
      queue = await new Queue().open();
      lines = [];
      const log = (line) => lines.push(line);
      const settings = { queueUrl: queue.url, siteKey: SITE_KEY, origins: [ORIGIN], log };
      site = await open({ ...settings, unreachableMs: 1_500 });
      site.origin ??= ORIGIN;
      browser = new Browser(site.send);
    });

    afterEach(() => {
      queue.close();
      site.close?.();
    });

    const isPage = (found, visitor) => {
      assert.equal(found.status, 200);
      // CloudFront's function does not see the body.
      if (kind !== "lambda") assert.equal(found.body, `visitor=${visitor}`);
    };

    const comeBack = async (room = "summer", path = "/buy/1", more = {}) => {
      const token = await mint(room, more);
      const found = await browser.get(`${path}?lang=en&waitline=${token}`);
      assert.equal(found.status, 303, found.body);
      return found.headers.get("location");
    };

    test("through the line and back", async () => {
      isPage(await browser.get("/"), null);
      const waits = await browser.get("/buy/1?lang=en");
      assert.equal(waits.status, 302);
      const location = waits.headers.get("location");
      assert.ok(location.startsWith(`${queue.url}/rooms/summer?return=`), location);
      assert.equal(wayBack(location).u, `${site.origin}/buy/1?lang=en`);
      assert.equal(await comeBack(), `${site.origin}/buy/1?lang=en`);
      isPage(await browser.get("/buy/1?lang=en"), "visitor-1");
      assert.equal((await browser.get("/buy/1", {}, "HEAD")).status, 200);
    });

    test("what is no page gets JSON and takes no place", async () => {
      const script = await browser.get("/buy/1", { Accept: "application/json" }, "POST");
      assert.equal(script.status, 429);
      assert.equal(script.headers.get("retry-after"), "10");
      assert.equal(wayBack(JSON.parse(script.body).waitingPage).u, `${site.origin}/buy/1`);
      const form = await browser.get("/buy/1", {}, "POST");
      assert.ok(form.body.includes("<h1>Your form was not sent</h1>"));
      const head = await browser.get("/buy/1", {}, "HEAD");
      assert.deepEqual([head.status, head.body], [429, ""]);
      assert.equal(queue.count("/api/v1/gate/walk-in"), 0);
    });

    test("nobody waits where there is no line", async () => {
      queue.walkIn = await mint("summer", { place: 5 });
      let found = await browser.get("/buy/1");
      // CloudFront sets the cookie with a redirect, and checks that it was kept.
      while (kind === "lambda" && found.status >= 300) {
        found = await browser.get(found.headers.get("location").replace(ORIGIN, ""));
      }
      isPage(found, "visitor-5");
      isPage(await browser.get("/buy/1"), "visitor-5");
      assert.equal(queue.count("/api/v1/gate/walk-in"), 1);
    });

    test("the site ends a visit", async () => {
      await comeBack();
      const done = await browser.get("/buy/leave");
      isPage(done, "visitor-1");
      assert.equal(done.headers.get("waitline-leave"), null);
      await until(() => queue.count("/api/v1/queue/remove") === 1, "the slot is freed");
      assert.equal((await browser.get("/buy/1")).status, 302);
    });

    test("a pass that left early is refused", async () => {
      await comeBack("summer", "/buy/1", { place: 9 });
      queue.revoked.summer = [9];
      await until(async () => (await browser.get("/buy/1")).status === 302, "it is revoked");
    });

    test("a visit slides while the visitor is active", async () => {
      queue.slid = await mint("summer", { leftS: 290 });
      await comeBack("summer", "/buy/1", { leftS: 100 });
      await until(async () => {
        await browser.get("/buy/1");
        return [...browser.cookies.values()].includes(queue.slid);
      }, "the pass is replaced");
      assert.equal(queue.count("/api/v1/gate/slide"), 1);
    });

    test("a bound pass is good in one browser", async () => {
      const token = await mint("winter");
      assert.equal((await browser.get(`/bound/1?waitline=${token}`)).status, 303);
      isPage(await browser.get("/bound/1"), "visitor-1");
      const other = new Browser(site.send);
      assert.equal((await other.get(`/bound/1?waitline=${token}`)).status, 403);
      for (const [name, value] of browser.cookies) {
        if (name.includes("pass")) other.cookies.set(name, value);
      }
      assert.equal((await other.get("/bound/1")).status, 302);
    });

    test("observe lets everything through, and logs it", async () => {
      isPage(await browser.get("/watched/1"), null);
      assert.deepEqual(lines, ["waitline: would wait: GET /watched/1, rule watched"]);
    });

    test("a queue that fails", async () => {
      await comeBack();
      queue.broken = true;
      const other = new Browser(site.send);
      await until(async () => (await other.get("/buy/1")).status === 200, "open");
      const closed = await other.get("/closed/1");
      assert.equal(closed.status, 503);
      assert.ok(closed.body.includes("<h1>We are very busy</h1>"));
      isPage(await browser.get("/closed/1"), "visitor-1");
      queue.broken = false;
      await until(async () => (await other.get("/buy/1")).status === 302, "the line is back");
    });
  });
}

// Side by side: they mostly wait.
describe("sites", { concurrency: true }, () => {
  for (const [kind, open] of Object.entries(SITES)) testsOf(kind, open);
});

test("settings that cannot be used", async () => {
  const { Connector } = await import("../src/core.js");
  const good = { queueUrl: "https://queue.example", siteKey: SITE_KEY, origins: [ORIGIN] };
  assert.ok(new Connector(good));
  assert.throws(() => new Connector({ ...good, queueUrl: "queue.example" }), /must start with/);
  assert.throws(() => new Connector({ ...good, origins: [] }), /a list of addresses/);
  assert.throws(() => new Connector({ ...good, siteKey: "short" }), /at least 16/);
  assert.throws(() => new Connector({ ...good, colour: "red" }), /unknown/);
});
