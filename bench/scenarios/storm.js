/*
storm.js: does it hold when everybody does something else at once, in several rooms?

ARRIVALS  1 000/s for 60 s, spread evenly over ROOMS=1, 3 or 10 rooms. Each enters, polls as often as the
          server asks it to, and loses patience after 5 to 60 s; who is let in before activates,
          shops for 2 to 10 s and leaves. The runner lets the rooms admit 500/s in all, so that lines
          form and many leave from within them
PASSES    enter p95 < 200 ms and p99 < 500 ms, poll p95 < 100 ms, remove p95 < 100 ms, success > 95 %,
          removals > 99 %, failures < 1 %, nothing dropped; every status with a hint when to ask again
*/
import { Rate, Trend } from 'k6/metrics';

import {
  MEASURED, NOTHING_DROPPED, ROOM, between, cohort, cohorts, newcomer, number, pause, seconds, sinceMs,
} from '../lib/load.js';
import { activate, join, poll, remove } from '../lib/queue.js';

const ROOMS = number('ROOMS', 1);
const RETRY_MS = 2000;
const PATIENCE_LEAST_MS = 5000;
const PATIENCE_MOST_MS = 60000;
const SHOP_LEAST_MS = 2000;
const SHOP_MOST_MS = 10000;

const { scenario, size } = cohorts({ perSecond: 1000, forS: seconds(60), stayS: 75 });

export const options = {
  ...MEASURED,
  scenarios: { visitors: scenario },
  thresholds: {
    'http_req_duration{name:enter}': ['p(95)<200', 'p(99)<500'],
    'http_req_duration{name:poll}': ['p(95)<100'],
    'http_req_duration{name:remove}': ['p(95)<100'],
    // Without a condition, to be measured.
    'http_req_duration{name:activate}': [],
    success: ['rate>0.95'],
    removal_success: ['rate>0.99'],
    http_req_failed: ['rate<0.01'],
    ...NOTHING_DROPPED,
  },
};

const activationWait = new Trend('activation_wait', true);
const removalSuccess = new Rate('removal_success');

export default function () {
  return cohort(size, visit);
}

let visits = __VU;

async function visit() {
  visits += 1;
  const room = `${ROOM}-${1 + (visits % ROOMS)}`;
  const visitor = newcomer();
  const cameMs = Date.now();
  const patienceMs = between(PATIENCE_LEAST_MS, PATIENCE_MOST_MS);
  const told = await join(room, visitor);
  if (!told) return;
  let state = '';
  let { againMs } = told;
  // Who would lose patience before the next answer leaves without asking for it.
  while (state !== 'READY' && sinceMs(cameMs) + againMs < patienceMs) {
    await pause(againMs);
    ({ state, againMs } = await poll(room, visitor));
    // Refused: the check has counted it, and a visitor would try again.
    if (!state) againMs = RETRY_MS;
  }
  if (state === 'READY') {
    await activate(room, visitor);
    activationWait.add(Date.now() - cameMs);
    await pause(between(SHOP_LEAST_MS, SHOP_MOST_MS));
  } else {
    await pause(patienceMs - sinceMs(cameMs));
  }
  removalSuccess.add(await remove(room, visitor));
}
