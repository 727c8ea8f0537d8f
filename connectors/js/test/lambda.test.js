// CloudFront's own events: as they are delivered, with all their members, and its limits.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { protect } from "../src/lambda.js";
import { mint, Queue, SITE_KEY } from "./standin.js";

const ORIGIN = "https://shop.example";
const ANSWER_MAX = 40 * 1024; // Of what a function generates at a viewer's request, headers included.

// Fields that a function may not write; a response with one of them is refused with a 502.
const FORBIDDEN = /^(connection|expect|keep-alive|proxy-.*|te|trailers?|transfer-encoding|upgrade|via|x-amz-.*|x-amzn-.*|x-cache.*|x-edge-.*|x-real-ip|content-length|date|host)$/;

let queue, site;

const open = () => protect({ queueUrl: queue.url, siteKey: SITE_KEY, origins: [ORIGIN], log() {} });

before(async () => {
  queue = await new Queue().open();
  site = open();
});

after(() => queue.close());

// Each line of a header is a member of a list, under its name in lower case.
function listed(lines) {
  const headers = {};
  for (const [key, value] of lines) (headers[key.toLowerCase()] ??= []).push({ key, value });
  return headers;
}

const cf = (eventType, more) => ({
  Records: [
    {
      cf: {
        config: {
          distributionDomainName: "d111111abcdef8.cloudfront.net",
          distributionId: "EDFDVBD6EXAMPLE",
          eventType,
          requestId: "4TyzHTaYWb1GX1qTfsHhEqV6HUDd_BzoBZnwfnvQc_1oF26ClkoUSEQ==",
        },
        ...more,
      },
    },
  ],
});

function viewed(uri, { querystring = "", method = "GET", lines = [], ...more } = {}) {
  const own = [["Host", "shop.example"], ["User-Agent", "Mozilla/5.0"], ["Accept", "text/html"]];
  return {
    clientIp: "203.0.113.178",
    headers: listed([...own, ...lines]),
    method,
    querystring,
    uri,
    ...more,
  };
}

async function asked(request, by = site) {
  const sent = structuredClone(request);
  const found = await by.viewerRequest(cf("viewer-request", { request }));
  if (found === request) assert.deepEqual(request, sent, "what passes is not changed");
  else checkAnswer(found);
  return found;
}

// The form that CloudFront demands of an answer.
function checkAnswer(found) {
  assert.match(found.status, /^[2-5]\d\d$/);
  assert.equal(typeof found.body, "string");
  for (const [name, lines] of Object.entries(found.headers)) {
    assert.equal(name, name.toLowerCase());
    assert.doesNotMatch(name, FORBIDDEN);
    for (const { key, value } of lines) {
      assert.equal(key.toLowerCase(), name);
      assert.equal(typeof value, "string");
    }
  }
  assert.ok(JSON.stringify(found).length < ANSWER_MAX);
}

const location = (found) => found.headers.location[0].value;

async function admittedCookie() {
  const back = await asked(viewed("/buy/1", { querystring: `waitline=${await mint()}` }));
  assert.equal(back.status, "303");
  const [pass] = back.headers["set-cookie"].filter(({ value }) => value.includes("waitline-pass-"));
  return pass.value.split(";")[0];
}

test("a page without a pass, and its way back", async () => {
  assert.equal((await asked(viewed("/"))).uri, "/");
  const found = await asked(viewed("/buy/1", { querystring: "a=1&a=2&b=%20" }));
  assert.equal(found.status, "302");
  const [text] = new URL(location(found)).searchParams.get("return").split(".");
  const back = JSON.parse(Buffer.from(text, "base64url").toString("utf-8"));
  assert.equal(back.u, `${ORIGIN}/buy/1?a=1&a=2&b=%20`);
});

test("a cookie counts on whichever of several lines it comes", async () => {
  const cookie = await admittedCookie();
  const lines = [["Cookie", "a=1; b=2"], ["cookie", cookie], ["COOKIE", "c=3"]];
  assert.equal((await asked(viewed("/buy/1", { lines }))).uri, "/buy/1");
  const others = [["Cookie", "a=1"], ["Cookie", "b=2"]];
  assert.equal((await asked(viewed("/buy/1", { lines: others }))).status, "302");
});

test("a field that comes twice is read as a whole", async () => {
  const json = [["Accept", "application/json"], ["Accept-Language", "fr"], ["Accept-Language", "en"]];
  const page = viewed("/buy/1", { lines: json });
  assert.equal((await asked(page)).status, "302");
  // One line that says so is enough to be no page.
  const purpose = [["Sec-Purpose", "x"], ["Sec-Purpose", "prefetch"]];
  assert.equal((await asked(viewed("/buy/1", { lines: purpose }))).status, "429");
});

test("a body passes as it is, also one that is longer than CloudFront shows", async () => {
  const cookie = await admittedCookie();
  const shown = Buffer.alloc(40 * 1024, "a").toString("base64");
  const body = { action: "read-only", data: shown, encoding: "base64", inputTruncated: true };
  const form = { method: "POST", body };
  const passed = await asked(viewed("/buy/1", { ...form, lines: [["Cookie", cookie]] }));
  assert.equal(passed.body.inputTruncated, true);
  const refused = await asked(viewed("/buy/1", form));
  assert.equal(refused.status, "429");
  assert.ok(refused.body.includes("<h1>"));
  // The longest address that CloudFront takes.
  const long = await asked(viewed("/buy/1", { ...form, querystring: `a=${"%41".repeat(2_600)}` }));
  assert.equal(long.status, "429");
});

test("who is admitted without a line stays on the site", async () => {
  queue.walkIn = await mint("summer", { place: 5 });
  // A function that has not seen a line form lately.
  const found = await asked(viewed("//evil.example/../buy/1", { querystring: "a=1" }), open());
  queue.walkIn = null;
  assert.equal(found.status, "302");
  assert.equal(location(found), `${ORIGIN}//evil.example/../buy/1?a=1&waitline=kept`);
});

test("the site ends a visit in its answer", async () => {
  const lines = [["Cookie", await admittedCookie()]];
  const request = viewed("/buy/1", { lines });
  const headers = listed([["Content-Type", "text/html"], ["Set-Cookie", "a=1"], ["Waitline-Leave", "1"]]);
  const response = { headers, status: "200", statusDescription: "OK" };
  const found = await site.viewerResponse(cf("viewer-response", { request, response }));
  assert.equal(found.headers["waitline-leave"], undefined);
  assert.deepEqual(found.headers["content-type"], [{ key: "Content-Type", value: "text/html" }]);
  const [own, ours] = found.headers["set-cookie"].map(({ value }) => value);
  assert.equal(own, "a=1");
  assert.match(ours, /^__Host-waitline-pass-\w+=; Path=\/; Max-Age=0; /);
  assert.equal(queue.count("/api/v1/queue/remove"), 1);
});

test("a function at the origin is refused: what is in the cache would pass", async () => {
  const request = viewed("/buy/1", {
    lines: [["X-Forwarded-For", "203.0.113.178"], ["Via", "2.0 2afae0d44e2540f472c0635ab62c232b.cloudfront.net (CloudFront)"]],
    origin: {
      custom: {
        customHeaders: {}, domainName: "origin.shop.example", keepaliveTimeout: 5, path: "",
        port: 443, protocol: "https", readTimeout: 30, sslProtocols: ["TLSv1.2"],
      },
    },
  }); // prettier-ignore
  await assert.rejects(site.viewerRequest(cf("origin-request", { request })), {
    name: "Error",
    message: "associate viewerRequest with viewer-request, not origin-request",
  });
});
