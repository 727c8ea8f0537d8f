// The Worker in Cloudflare's runtime (workerd), in front of an origin and a stand-in of the queue.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { Miniflare } from "miniflare";

import { Browser, listening, mint, Queue, SITE_KEY, until } from "../test/standin.js";

const ORIGIN = "https://shop.example";
const path = (name) => fileURLToPath(new URL(name, import.meta.url));

let queue, origin, miniflare;

const open = () => new Browser((target, options) => miniflare.dispatchFetch(ORIGIN + target, options));

before(async () => {
  queue = await new Queue().open();
  origin = createServer((request, response) => {
    const leaves = request.url.includes("leave");
    response.writeHead(200, leaves ? { "Waitline-Leave": "1" } : {}).end(`origin ${request.url}`);
  });
  miniflare = new Miniflare({
    modules: true,
    modulesRules: [{ type: "ESModule", include: ["**/*.js"] }],
    modulesRoot: path(".."),
    scriptPath: path("site.js"),
    compatibilityDate: "2026-01-01",
    bindings: { QUEUE_URL: queue.url, SITE_KEY, ORIGIN: await listening(origin) },
  });
});

after(async () => {
  queue?.close();
  origin?.close();
  origin?.closeAllConnections();
  await miniflare?.dispose();
});

test("through the line and back, and out", async () => {
  const browser = open();
  assert.equal((await browser.get("/?a=1")).body, "origin /?a=1");
  const waits = await browser.get("/buy/1?lang=en");
  assert.equal(waits.status, 302);
  assert.ok(waits.headers.get("location").startsWith(`${queue.url}/rooms/summer?return=`));
  const back = await browser.get(`/buy/1?lang=en&waitline=${await mint()}`);
  assert.deepEqual([back.status, back.headers.get("location")], [303, `${ORIGIN}/buy/1?lang=en`]);
  assert.equal((await browser.get("/buy/1?lang=en")).body, "origin /buy/1?lang=en");
  const done = await browser.get("/buy/leave");
  assert.equal(done.headers.get("waitline-leave"), null);
  await until(() => queue.count("/api/v1/queue/remove") === 1, "the slot is freed");
  assert.equal((await browser.get("/buy/1")).status, 302);
});

test("many visitors at once, whose requests share nothing that they wait for", async () => {
  const answers = await Promise.all(
    Array.from({ length: 50 }, () => open().get("/buy/1", { Accept: "application/json" })),
  );
  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [429]);
});

test("a bound pass is good in one browser", async () => {
  const token = await mint("winter");
  const [browser, other] = [open(), open()];
  assert.equal((await browser.get(`/bound/1?waitline=${token}`)).status, 303);
  assert.equal((await browser.get("/bound/1")).body, "origin /bound/1");
  assert.equal((await other.get(`/bound/1?waitline=${token}`)).status, 403);
});
