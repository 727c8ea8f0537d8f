// Middleware for Express, Connect, and plain Node servers.

import { Connector, makeRequest } from "./core.js";

const LEAVE = "waitline-leave";

// Returns (request, response, next). The visitor's pass is `request.waitline`, or undefined.
export function waitline(settings) {
  const connector = settings instanceof Connector ? settings : new Connector(settings);
  return (request, response, next) => {
    guard(connector, request, response).then((passes) => passes && next(), next);
  };
}

async function guard(connector, incoming, response) {
  const [target, ...query] = (incoming.originalUrl ?? incoming.url).split("?");
  const request = makeRequest({
    method: incoming.method,
    host: incoming.headers.host ?? "",
    target,
    query: query.join("?"),
    headers: flat(incoming.headers),
  });
  const found = await connector.answer(request);
  if (found.status) {
    response.statusCode = found.status;
    for (const [name, value] of found.headers) response.appendHeader(name, value);
    response.end(incoming.method === "HEAD" ? "" : found.body);
    return false;
  }
  incoming.waitline = found.visit;
  const { keep, leave } = await connector.finish(request, found);
  for (const [name, value] of keep) response.appendHeader(name, value);
  if (found.visit) onHead(response, () => ends(connector, response, found.visit, leave));
  return true;
}

// `Waitline-Leave` ends the visit: the visitor does not see it, and the cookie is deleted.
function ends(connector, response, visit, headers) {
  if (!response.hasHeader(LEAVE)) return;
  response.removeHeader(LEAVE);
  for (const [name, value] of headers) response.appendHeader(name, value);
  connector.leave(visit);
}

// Calls back when the head is about to be written, with all headers set on the response.
function onHead(response, callback) {
  const { writeHead } = response;
  response.writeHead = (status, ...rest) => {
    const headers = rest.at(-1);
    if (typeof headers === "object" && headers !== null && !Array.isArray(headers)) {
      rest.pop();
      for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    }
    callback();
    response.writeHead = writeHead;
    return writeHead.call(response, status, ...rest);
  };
}

function flat(headers) {
  const joined = Object.entries(headers).map(([name, value]) => [name, String(value)]);
  return Object.fromEntries(joined);
}
