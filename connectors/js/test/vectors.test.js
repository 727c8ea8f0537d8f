// The core agrees with the vectors that all connectors and the queue share.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { Case, makeRequest } from "../src/decision.js";
import { matches, matchRule, normalHost, normalPath, parseRules, RulesInvalid } from "../src/rules.js";
import { bind, genuine, importSiteKey, parseKeys, signReturn } from "../src/tokens.js";

const vectors = JSON.parse(readFileSync(new URL("../../vectors.json", import.meta.url), "utf-8"));
const keys = await parseKeys(vectors.jwks);
const key = await importSiteKey(vectors.siteKey);
const protection = parseRules(vectors.protection);
const site = { queueUrl: vectors.queueUrl, key, origins: vectors.origins, cookieDomain: "" };

function caseOf(request, more = {}) {
  return new Case({
    request: makeRequest(request),
    rules: protection,
    site,
    verify: (token) => genuine(keys, token),
    revoked: ({ room, place }) => (vectors.revoked[room] ?? []).includes(place),
    nowS: vectors.now,
    newSecret: () => vectors.newSecret,
    ...more,
  });
}

test("passes", async () => {
  assert.ok(vectors.passes.length > 30);
  for (const { name, token, expect } of vectors.passes) {
    const found = await caseOf(vectors.decisions[0].request).check(token, "summer");
    assert.equal(found.refusal ?? "good", expect, name);
  }
});

test("signed ways back, and marks", async () => {
  for (const { address, room, signed } of vectors.returns.good) {
    assert.equal(await signReturn(key, address, room, vectors.now), signed);
  }
  for (const { address, room } of vectors.returns.tooLong) {
    assert.equal(await signReturn(key, address, room, vectors.now), "");
  }
  for (const { token, secret, mark } of vectors.marks) {
    assert.equal(await bind(key, token, secret), mark);
  }
});

test("paths and hosts", () => {
  for (const [sent, normal] of vectors.paths) assert.equal(normalPath(sent), normal, sent);
  for (const [sent, normal] of vectors.hosts) assert.equal(normalHost(sent), normal, sent);
});

test("patterns", () => {
  for (const { pattern, fold, yes, no } of vectors.patterns) {
    const folded = fold ? pattern.toLowerCase() : pattern;
    for (const text of yes) assert.ok(matches(folded, text), `${pattern} ${text}`);
    for (const text of no) assert.ok(!matches(folded, text), `${pattern} ${text}`);
  }
});

test("rules", () => {
  const rules = parseRules(vectors.document);
  for (const { request, rule } of vectors.matches) {
    assert.equal(matchRule(rules, makeRequest(request))?.name ?? null, rule, request.target);
  }
});

test("documents that cannot be used", () => {
  for (const { name, document } of vectors.documentsRefused) {
    assert.throws(() => parseRules(document), RulesInvalid, name);
  }
});

for (const row of vectors.decisions) {
  test(`decision: ${row.name}`, async () => {
    const { claimed, walkedIn } = row.answers ?? {};
    const answers = {
      claimed,
      walkedIn: typeof walkedIn === "string" ? await genuine(keys, walkedIn) : walkedIn,
    };
    const found = await caseOf(row.request, { reachable: row.reachable ?? true, answers }).decide();
    const { expect } = row;
    assert.deepEqual(
      {
        outcome: found.outcome,
        status: found.status,
        headers: found.headers,
        observed: found.observed,
        call: found.call,
        visitor: found.visit?.visitor,
      },
      {
        outcome: expect.outcome,
        status: expect.status,
        headers: expect.headers,
        observed: expect.observed ?? "",
        call: expect.call,
        visitor: expect.visitor,
      },
    );
    if (expect.title) {
      assert.ok(found.body.includes(`<title>${expect.title}</title>`), found.body);
      assert.ok(found.body.includes(`<a href="${expect.link}"`), found.body);
    } else {
      assert.equal(found.body, expect.body ?? "");
    }
  });
}
