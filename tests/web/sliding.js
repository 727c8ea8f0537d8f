// A site behind the JavaScript connector, visited with a pass until it is renewed.

import { protect } from "../../connectors/js/src/deno.js";

const TRIES_MAX = 400;
const APART_MS = 50;

const [settings, url, cookie] = process.argv.slice(2);
const site = protect(JSON.parse(settings), () => new Response("in"));
const visit = async () => {
  const answer = await site(new Request(url, { headers: { Accept: "text/html", cookie } }), {});
  if (answer.status !== 200) throw new Error(`status ${answer.status}`);
  return answer.headers.get("set-cookie");
};

const first = await visit();
let renewed = null;
for (let tries = 0; renewed === null && tries < TRIES_MAX; tries++) {
  renewed = await visit();
  await new Promise((resolve) => setTimeout(resolve, APART_MS));
}
console.log(JSON.stringify({ first, renewed }));
process.exit(0);
