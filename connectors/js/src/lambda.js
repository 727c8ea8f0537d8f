// Lambda@Edge: handlers for the events viewer-request and viewer-response of CloudFront.
//
// A function at the viewer's request cannot set a cookie on the site's answer, so a visitor who is
// admitted without a line is redirected once, to the same page.

import { Connector, makeRequest, SettingsInvalid } from "./core.js";

const LEAVE = "waitline-leave";

// Returns {viewerRequest, viewerResponse}, one for each event.
export function protect(settings) {
  const connector = new Connector(settings);
  return {
    async viewerRequest(event) {
      const { request, config } = event.Records[0].cf;
      // Origin events come after the cache: pages in it would pass without a look at the visitor.
      if (config.eventType !== "viewer-request") {
        throw new SettingsInvalid(`associate viewerRequest with viewer-request, not ${config.eventType}`);
      }
      const asked = requestOf(request);
      const found = await settled(connector, asked);
      if (found.status) return answerOf(found, asked.method);
      if (found.headers.length === 0) return request;
      // Whether the cookie was kept is checked once, or the redirect could go round forever.
      const location = await connector.address(asked, found.headers.length > 1);
      const headers = [["Location", location], ["Cache-Control", "no-store"], ...found.headers];
      return answerOf({ status: 302, headers, body: "" }, asked.method);
    },

    async viewerResponse(event) {
      const { request, response } = event.Records[0].cf;
      const asked = requestOf(request);
      const found = await connector.decide(asked, "", { walkedIn: null, claimed: false });
      if (!found.visit || found.status) return response;
      const { keep, leave } = await connector.finish(asked, found);
      const leaves = LEAVE in response.headers;
      if (leaves) {
        delete response.headers[LEAVE];
        await connector.leave(found.visit);
      }
      for (const [name, value] of leaves ? leave : keep) add(response.headers, name, value);
      return response;
    },
  };
}

// Waits for what other servers do in the background: a function is frozen once it has answered.
async function settled(connector, asked) {
  const pending = [];
  const found = await connector.answer(asked, (promise) => pending.push(promise));
  await Promise.allSettled(pending);
  return found;
}

function requestOf({ method, uri, querystring, headers }) {
  const flat = Object.entries(headers).map(([name, lines]) => [
    name.toLowerCase(),
    lines.map(({ value }) => value).join(name.toLowerCase() === "cookie" ? "; " : ", "),
  ]);
  const named = Object.fromEntries(flat);
  return makeRequest({
    method,
    host: named.host ?? "",
    target: uri,
    query: querystring,
    headers: named,
  });
}

function answerOf({ status, headers, body }, method) {
  const found = {};
  for (const [name, value] of headers) add(found, name, value);
  return { status: String(status), headers: found, body: method === "HEAD" ? "" : body };
}

function add(headers, name, value) {
  (headers[name.toLowerCase()] ??= []).push({ key: name, value });
}
