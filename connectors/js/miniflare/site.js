// The Worker of the test: the connector in front of an origin.

import { protect } from "../src/worker.js";

export default protect(
  (env) => ({
    queueUrl: env.QUEUE_URL,
    siteKey: env.SITE_KEY,
    origins: ["https://shop.example"],
    log: () => {},
  }),
  (request, env) => {
    const { pathname, search } = new URL(request.url);
    return fetch(env.ORIGIN + pathname + search, request);
  },
);
