// The server of the test: the connector in front of a handler, as the README shows it. It stops when
// its standard input ends, as it does when the test ends in whatever way.

import { protect } from "../src/deno.js";

const settings = JSON.parse(Deno.env.get("SETTINGS"));

const site = protect(
  { ...settings, log: (line) => console.log(`log ${line}`) },
  (request, info, visit) =>
    new Response(`visitor=${visit?.visitor ?? null}`, {
      headers: request.url.includes("leave") ? { "Waitline-Leave": "1" } : {},
    }),
);

Deno.serve(
  { hostname: "127.0.0.1", port: 0, onListen: ({ port }) => console.log(`port ${port}`) },
  site,
);

await Deno.stdin.read(new Uint8Array(1));
Deno.exit();
