// Cloudflare Worker in front of an origin, or around a handler: `export default protect({…})`.

import { Connector, makeRequest } from "./core.js";

const LEAVE = "waitline-leave";

// Returns a module worker. `settings` is an object, or a function that makes it of `env`, where
// secrets are. `handler(request, env, ctx, visit)` answers; by default the origin does.
export function protect(settings, handler = (request) => fetch(request)) {
  let connector;
  return {
    fetch(request, env, ctx) {
      // The state is that of an isolate, which serves many requests.
      const given = typeof settings === "function" ? settings(env) : settings;
      connector ??= new Connector({ share: false, ...given });
      const waitUntil = (promise) => ctx.waitUntil(promise);
      const answer = (visit) => handler(request, env, ctx, visit);
      return respond(connector, request, answer, waitUntil);
    },
  };
}

// Answers a request of the Fetch API, by the site's `answer(visit)` or ours.
export async function respond(connector, incoming, answer, waitUntil) {
  const url = new URL(incoming.url);
  const request = makeRequest({
    method: incoming.method,
    host: url.host,
    target: url.pathname,
    query: url.search.slice(1),
    headers: Object.fromEntries(incoming.headers),
  });
  const found = await connector.answer(request, waitUntil);
  if (found.status) {
    const body = incoming.method === "HEAD" ? null : found.body;
    return new Response(body, { status: found.status, headers: new Headers(found.headers) });
  }
  const response = await answer(found.visit);
  const leaves = found.visit && response.headers.has(LEAVE);
  const { keep, leave } = await connector.finish(request, found, waitUntil);
  const added = leaves ? leave : keep;
  if (leaves) waitUntil(connector.leave(found.visit));
  if (!leaves && added.length === 0) return response;
  const changed = new Response(response.body, response);
  changed.headers.delete(LEAVE);
  for (const [name, value] of added) changed.headers.append(name, value);
  return changed;
}
