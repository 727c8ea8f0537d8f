/*
validation.js: how fast are tokens checked by a service that has just started?

ARRIVALS  HOLDERS=1000 visitors enter at once and are let in; then, with no validation before, their
          tokens are validated at 100, 500, 1 000 and 2 000/s, 30 s each
PASSES    at each rate p50 < 50 ms, p95 < 100 ms, p99 < 200 ms and failures < 1 %; nothing dropped

The token is that of the enter response, a ticket: worth nothing while its visitor waits, and good
from the moment that the visitor is let in. Before the first step it is shown that the checks mean
something: a forged token, and another visitor's, are rejected.
*/
import { sleep } from 'k6';

import {
  MEASURED_ALONE, NOTHING_DROPPED, ROOM, arrivals, number, scaled, seconds,
} from '../lib/load.js';
import { enterAll, reject, stillWaiting, validate } from '../lib/queue.js';

const VISITORS = number('HOLDERS', 1000);
const RATES = [100, 500, 1000, 2000];
const STEP_S = seconds(30);

// At the contract's 2 000/s all are in after half a second.
const ADMISSION_S = 60;
const PAUSE_S = 0.2;

const steps = {};
// One without a condition is there to be measured.
const thresholds = { 'http_req_duration{name:validate}': [], ...NOTHING_DROPPED };
RATES.forEach((perSecond, index) => {
  const step = `at_${scaled(perSecond)}`;
  const fromS = index * STEP_S;
  steps[step] = arrivals({ call: 'validate', perSecond, forS: STEP_S, fromS, tags: { step } });
  thresholds[`http_req_duration{step:${step}}`] = ['p(50)<50', 'p(95)<100', 'p(99)<200'];
  thresholds[`http_req_failed{step:${step}}`] = ['rate<0.01'];
});

export const options = { ...MEASURED_ALONE, scenarios: steps, thresholds, batch: 100, batchPerHost: 100 };

export function setup() {
  const visitors = Array.from({ length: VISITORS }, (_, index) => `holder-${index}`);
  const holders = enterAll(ROOM, visitors);
  let waiting = visitors;
  for (let waitedS = 0; waiting.length > 0; waitedS += PAUSE_S) {
    if (waitedS > ADMISSION_S) throw new Error(`not everybody was let in within ${ADMISSION_S} s`);
    sleep(PAUSE_S);
    waiting = stillWaiting(ROOM, waiting);
  }
  const [first, second] = holders;
  reject(ROOM, { ...first, token: second.token });
  reject(ROOM, { ...first, token: `${first.token}x` });
  return holders;
}

let next = __VU;

export default function (holders) {
  next += 1;
  validate(ROOM, holders[next % holders.length]);
}
