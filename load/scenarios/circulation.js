/*
circulation.js: do visitors come through, and do those who leave make room for the next?

ARRIVALS  2 000/s for 90 s into one room, each a new visitor who enters, polls each second until it
          is let in, activates, shops for 5 to 30 s, and leaves
PASSES    enter p95 < 200 ms, poll p95 < 100 ms, remove p95 < 100 ms, activation p95 < 30 s,
          removals > 99 %, failures < 1 %, nothing dropped; once the room is full, as many leave it
          as come in (which the runner judges by the server's counts)
*/
import { Rate, Trend } from 'k6/metrics';

import {
  MEASURED, NOTHING_DROPPED, ROOM, between, cohort, cohorts, newcomer, pause, seconds, sinceMs,
} from '../lib/load.js';
import { activate, join, poll, remove } from '../lib/queue.js';

const POLL_MS = 1000;
const SHOP_LEAST_MS = 5000;
const SHOP_MOST_MS = 30000;

// Who was not let in by then gives up, and counts with all the time that it waited.
const PATIENCE_MS = 60000;

const { scenario, size } = cohorts({ perSecond: 2000, forS: seconds(90), stayS: 90 });

export const options = {
  ...MEASURED,
  scenarios: { visitors: scenario },
  thresholds: {
    'http_req_duration{name:enter}': ['p(95)<200'],
    'http_req_duration{name:poll}': ['p(95)<100'],
    'http_req_duration{name:remove}': ['p(95)<100'],
    // Without a condition, to be measured.
    'http_req_duration{name:activate}': [],
    activation_wait: ['p(95)<30000'],
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

async function visit() {
  const visitor = newcomer();
  const cameMs = Date.now();
  if (!(await join(ROOM, visitor))) return;
  let state = '';
  do {
    await pause(POLL_MS);
    ({ state } = await poll(ROOM, visitor));
  } while (state !== 'READY' && state !== 'ACTIVE' && sinceMs(cameMs) < PATIENCE_MS);
  if (state === 'READY') await activate(ROOM, visitor);
  activationWait.add(Date.now() - cameMs);
  if (state === 'READY' || state === 'ACTIVE') await pause(between(SHOP_LEAST_MS, SHOP_MOST_MS));
  removalSuccess.add(await remove(ROOM, visitor));
}
