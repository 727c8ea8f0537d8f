/*
entry.js: can everybody get into the line when the sale opens?

ARRIVALS  into one room, each a new visitor
            SIZE=full     1 000/s for 10 s, then 5 000/s for 60 s: 310 000 visitors
            SIZE=10k      5 000/s for 2 s
            SIZE=100k     5 000/s for 20 s
            SIZE=extreme  10 000/s for 30 s: 300 000 visitors
PASSES    enter p95 < 200 ms and p99 < 500 ms, failures < 5 %, success > 95 %, nothing dropped
          success: 201, the envelope, a position, within 500 ms
*/
import {
  MEASURED_ALONE, NOTHING_DROPPED, ROOM, arrivals, arrivalsInSteps, newcomer, seconds,
} from '../lib/load.js';
import { enter } from '../lib/queue.js';

const call = 'enter';
const SIZES = {
  full: () => arrivalsInSteps({
    call, steps: [{ perSecond: 1000, forS: 10 }, { perSecond: 5000, forS: seconds(60) }],
  }),
  '10k': () => arrivals({ call, perSecond: 5000, forS: seconds(2) }),
  '100k': () => arrivals({ call, perSecond: 5000, forS: seconds(20) }),
  extreme: () => arrivals({ call, perSecond: 10000, forS: seconds(30) }),
};

const size = SIZES[__ENV.SIZE || 'full'];
if (!size) throw new Error(`SIZE must be one of ${Object.keys(SIZES).join(', ')}`);

export const options = {
  ...MEASURED_ALONE,
  scenarios: { visitors: size() },
  thresholds: {
    'http_req_duration{name:enter}': ['p(95)<200', 'p(99)<500'],
    http_req_failed: ['rate<0.05'],
    success: ['rate>0.95'],
    ...NOTHING_DROPPED,
  },
};

// Bound once: see ../lib/queue.js.
const [join, room, visitor] = [enter, ROOM, newcomer];

export default function () {
  join(room, visitor());
}
