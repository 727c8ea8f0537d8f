// A Node server, a Worker, a server of the Fetch API and CloudFront, in front of a queue's stand-in.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { describe, test } from "node:test";

import * as deno from "../src/deno.js";
import * as lambda from "../src/lambda.js";
import { waitline } from "../src/node.js";
import * as worker from "../src/worker.js";
import { ORIGIN, testsOf } from "./behaviour.js";
import { listening, SITE_KEY } from "./standin.js";

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
      const config = { eventType: "viewer-request" };
      const event = (response) => ({ Records: [{ cf: { config, request, response } }] });
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
