// Deno, Bun and other servers of the Fetch API: `Deno.serve(protect({…}, handler))`.

import { Connector } from "./core.js";
import { respond } from "./worker.js";

// Returns a handler. `handler(request, info, visit)` is the site.
export function protect(settings, handler) {
  const connector = new Connector(settings);
  const background = (promise) => void promise.catch(() => {});
  return (request, info) =>
    respond(connector, request, (visit) => handler(request, info, visit), background);
}
