// How much load, and against what: chosen by `-e NAME=VALUE`, read here and nowhere else.
//
//   BASE_URL  where the queue service is; the default is the name that the contract's scripts use
//   BOOKING_URL  where the booking service is, likewise
//   ROOM      which room; others are named after it
//   SCALE     share of every rate, and of the virtual users that carry it; times stay what they are
//   SECONDS   length of each steady part, instead of the scenario's own
//   HASTE     how many times shorter everybody's pauses are: to try a script out, not to measure

export const BASE_URL = __ENV.BASE_URL || 'http://queue-service:8081';
export const BOOKING_URL = __ENV.BOOKING_URL || 'http://core-service:8080';
export const ROOM = __ENV.ROOM || 'sale';

const SCALE = number('SCALE', 1);
const HASTE = number('HASTE', 1);

// How long answers may take before arrivals find no virtual user free, and are dropped: as long as
// one in twenty may take in the strictest scenario. Each virtual user takes k6 about 0.3 MB and a
// connection, and more of them made every arrival dearer: 1 500 instead of 400 by a seventh.
const ANSWER_S = 0.2;

// So that one hiccup of a small machine does not drop arrivals of a scaled run.
const VUS_MIN = 250;

// Cohorts a second, unless a scenario says otherwise. Each virtual user keeps up to six connections
// to each service for its next visitors: more cohorts take more users, memory and connections for
// the same visitors, fewer leave more of the work to one processor.
const COHORTS_PER_S = 10;

// What every scenario measures. k6 tags each of nine samples of a request, so there are few tags:
// `name` is the call, and without the others the summary has no checks. Nobody has cookies here.
export const MEASURED = {
  systemTags: ['name', 'check', 'group'],
  summaryTrendStats: ['avg', 'min', 'med', 'p(90)', 'p(95)', 'p(99)', 'max', 'count'],
  noCookiesReset: true,
};

// The same for scripts that make one call alone: their scenarios carry its name, once for all.
export const MEASURED_ALONE = { ...MEASURED, systemTags: ['check', 'group'] };

// A dropped arrival is a visitor who was turned away before the question was asked.
export const NOTHING_DROPPED = { dropped_iterations: ['count==0'] };

export function number(name, otherwise) {
  const value = Number(__ENV[name] || otherwise);
  if (!(value > 0)) throw new Error(`${name} must be a number above 0`);
  return value;
}

export function seconds(otherwise) {
  return number('SECONDS', otherwise);
}

export function scaled(amount) {
  return Math.max(1, Math.round(amount * SCALE));
}

// Visitors who come at a steady rate and make one call each.
export function arrivals({ call, perSecond, forS, fromS = 0, tags = {} }) {
  return {
    executor: 'constant-arrival-rate',
    rate: scaled(perSecond),
    duration: `${forS}s`,
    startTime: `${fromS}s`,
    ...carried(call, perSecond, tags),
  };
}

// The same in steps, one after the other. One scenario a step would have virtual users of its own,
// who would all have to connect in the step's first instant.
export function arrivalsInSteps({ call, steps, tags = {} }) {
  const stages = [];
  for (const { perSecond, forS } of steps) {
    const target = scaled(perSecond);
    stages.push({ duration: '0s', target }, { duration: `${forS}s`, target });
  }
  return {
    executor: 'ramping-arrival-rate',
    startRate: stages[0].target,
    stages: stages.slice(1),
    ...carried(call, Math.max(...steps.map(({ perSecond }) => perSecond)), tags),
  };
}

function carried(call, perSecond, tags) {
  const vus = Math.max(VUS_MIN, Math.ceil(scaled(perSecond) * ANSWER_S));
  return {
    timeUnit: '1s',
    preAllocatedVUs: vus,
    maxVUs: vus,
    gracefulStop: '15s',
    tags: { name: call, ...tags },
  };
}

// Visitors who come at a steady rate and stay. One virtual user each would take tens of thousands;
// so an arrival is a cohort of visitors who come one after the other within a second, and one
// virtual user is all of them at once.
export function cohorts({ perSecond, forS, stayS, cohortsPerS = COHORTS_PER_S }) {
  const rate = Math.min(cohortsPerS, scaled(perSecond));
  const size = Math.round(scaled(perSecond) / rate);
  // A cohort is gone after its second, the longest stay, and what answers took on the way.
  const vus = Math.ceil(rate * (1 + Math.min(forS, stayS + 5)));
  const scenario = {
    executor: 'constant-arrival-rate',
    rate,
    timeUnit: '1s',
    duration: `${forS}s`,
    preAllocatedVUs: vus,
    maxVUs: vus,
    gracefulStop: `${stayS + 30}s`,
    // For whoever counts visitors: an arrival is so many.
    env: { VISITORS: `${size}` },
  };
  return { scenario, size };
}

// Let a cohort's visitors come evenly within its second, and wait until the last has gone.
export function cohort(size, visit) {
  const visits = [];
  for (let index = 0; index < size; index += 1) {
    visits.push(pause((index * 1000) / size).then(visit));
  }
  return Promise.all(visits);
}

export function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms / HASTE)));
}

// How long it is since a moment, as those see it who are in haste.
export function sinceMs(beganMs) {
  return (Date.now() - beganMs) * HASTE;
}

export function between(least, most) {
  return least + Math.random() * (most - least);
}

// A name that nobody has had: virtual users do not share anything but their numbers.
const began = Date.now().toString(36);
let named = 0;

export function newcomer() {
  named += 1;
  return `${began}-${__VU}-${named}`;
}

// The same as a number, as the box office knows people: second, virtual user, and which of its own.
// JavaScript can tell such numbers apart, and they are less than 64 bits.
const FIRST = (Math.floor(Date.now() / 1000) % 8e6) * 1e9 + (__VU % 1e4) * 1e5;
let numbered = 0;

export function newBuyer() {
  numbered += 1;
  return `${FIRST + (numbered % 1e5)}`;
}
