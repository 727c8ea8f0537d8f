// A site behind the JavaScript connector, visited by two browsers with one address of a hand-over.

import { protect } from "../../connectors/js/src/deno.js";

const [settings, url, token] = process.argv.slice(2);
const site = protect(JSON.parse(settings), () => new Response("in"));

// The statuses of the address with the pass, and of the page with the cookies that came of it.
async function open() {
  const handed = await site(new Request(`${url}?waitline=${token}`, { headers: { Accept: "text/html" } }), {});
  const cookie = handed.headers.getSetCookie().map((line) => line.split(";")[0]).join("; ");
  const page = await site(new Request(url, { headers: { Accept: "text/html", cookie } }), {});
  return [handed.status, page.status];
}

const first = await open();
console.log(JSON.stringify({ first, second: await open() }));
process.exit(0);
