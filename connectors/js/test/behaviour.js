// What every kind of site does, in front of a queue's stand-in: `testsOf(kind, open)`.

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";

import { Browser, mint, Queue, SITE_KEY, until } from "./standin.js";

export const ORIGIN = "https://shop.example";

const wayBack = (location) => {
  const [text] = new URL(location).searchParams.get("return").split(".");
  return JSON.parse(Buffer.from(text, "base64url").toString("utf-8"));
};

// `open(settings)` opens a site that answers with `visitor=…`, and returns {send, close}; with
// an `origin` if it is not ORIGIN.
export function testsOf(kind, open) {
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

    afterEach(async () => {
      queue.close();
      await site.close?.();
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
