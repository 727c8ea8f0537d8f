/*
circulation.js: do visitors come through, and do those who leave make room for the next?

ARRIVALS  2 000/s for 90 s into one room, each a new visitor who enters, polls each second until it
          is let in, activates, shops for 5 to 30 s (USE_LEAST_S=5, USE_MOST_S=30), and leaves
PASSES    enter p95 < 200 ms, poll p95 < 100 ms, remove p95 < 100 ms, activation p95 < 30 s,
          removals > 99 %, failures < 1 %, nothing dropped; once the room is full or in balance, as
          many leave it as come in, and in the end nobody waits and nobody holds a slot (which the
          runner judges by the server's counts)
*/
import {
  MEASURED, NOTHING_DROPPED, ROOM, cohort, cohorts, number, seconds,
} from '../lib/load.js';
import { lookAround } from '../lib/visits.js';

const SHOPPING = {
  leastMs: 1000 * number('USE_LEAST_S', 5),
  mostMs: 1000 * number('USE_MOST_S', 30),
  // Who was not let in by then gives up.
  patienceMs: 60000,
};
const stayS = (SHOPPING.patienceMs + SHOPPING.mostMs) / 1000;

const { scenario, size } = cohorts({ perSecond: 2000, forS: seconds(90), stayS });

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

export default function () {
  return cohort(size, () => lookAround(ROOM, SHOPPING));
}
