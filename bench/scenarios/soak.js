/*
soak.js: does a fifth of the load stay as quick, and take no more, for as long as it lasts?

ARRIVALS  200/s for 30 min: 20/s, a fifth of the booking scenario, buy a seat of the demo concert, keep
          it for 20 to 60 s, and give it back for their money; 180/s enter another room, poll each
          second until they are let in, activate, shop for 5 to 30 s and leave
PASSES    enter p95 < 200 ms, poll p95 < 100 ms, remove p95 < 100 ms, seats p95 < 500 ms,
          reserve p95 < 1 s, pay p95 < 2 s, refund p95 < 2 s, activation p95 < 30 s, booked > 99 %,
          removals > 99 %, failures < 1 %, nothing dropped; over the second half no process takes
          more than 30 MB or 300 files an hour on top of what it has, as many leave as come in, none
          was started again, in the end nobody waits and nobody holds a slot, and both audits find
          nothing (which the runner judges)

Seats are given back, so that there are always enough: some 900 of 10 000 are held at any time.
*/
import { init, refund } from '../lib/booking.js';
import {
  MEASURED, NOTHING_DROPPED, ROOM, between, cohort, cohorts, pause, seconds,
} from '../lib/load.js';
import { buy, choice, lookAround } from '../lib/visits.js';

// One in so many visitors buys.
const ONE_IN = 10;
const PATIENCE_MS = 60000;
const SHOPPING = { leastMs: 5000, mostMs: 30000, patienceMs: PATIENCE_MS };
const BUYING = { choose: choice('whole'), retries: 1, patienceMs: PATIENCE_MS };
const KEEP_LEAST_MS = 20000;
const KEEP_MOST_MS = 60000;

const stayS = (PATIENCE_MS + KEEP_MOST_MS) / 1000;
const { scenario, size } = cohorts({
  perSecond: 200, forS: seconds(1800), stayS, cohortsPerS: 1,
});

export const options = {
  ...MEASURED,
  scenarios: { visitors: scenario },
  thresholds: {
    'http_req_duration{name:enter}': ['p(95)<200'],
    'http_req_duration{name:poll}': ['p(95)<100'],
    'http_req_duration{name:remove}': ['p(95)<100'],
    'http_req_duration{name:activate}': [],
    'http_req_duration{name:seats}': ['p(95)<500'],
    'http_req_duration{name:reserve}': ['p(95)<1000'],
    'http_req_duration{name:pay}': ['p(95)<2000'],
    'http_req_duration{name:refund}': ['p(95)<2000'],
    activation_wait: ['p(95)<30000'],
    booked: ['rate>0.99'],
    removal_success: ['rate>0.99'],
    http_req_failed: ['rate<0.01'],
    ...NOTHING_DROPPED,
  },
};

export const setup = init;

let came = __VU;

export default function () {
  return cohort(size, () => {
    came += 1;
    return came % ONE_IN === 0 ? buyAndGiveBack() : lookAround(ROOM, SHOPPING);
  });
}

async function buyAndGiveBack() {
  const bought = await buy(BUYING);
  if (!bought) return;
  await pause(between(KEEP_LEAST_MS, KEEP_MOST_MS));
  await refund(bought.buyer, bought.reservation);
}
