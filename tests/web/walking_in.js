// A site behind the JavaScript connector, visited until two visitors are inside, and once more.

import { protect } from "../../connectors/js/src/deno.js";

const TRIES_MAX = 400; // The connector asks again a second after it saw a line.
const APART_MS = 100;

const visits = [];
const site = protect(JSON.parse(process.argv[2]), (request, info, visit) => {
  visits.push(visit);
  return new Response("in");
});
const visit = () => site(new Request(process.argv[3], { headers: { Accept: "text/html" } }), {});

for (let tries = 0; visits.length < 2 && tries < TRIES_MAX; tries++) {
  await visit();
  await new Promise((resolve) => setTimeout(resolve, APART_MS));
}
const { status } = await visit();
const [rooms, places] = [visits.map(({ room }) => room), visits.map(({ place }) => place)];
console.log(JSON.stringify({ rooms, places, then: status }));
process.exit(0);
