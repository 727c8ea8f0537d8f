// The calls of the queue service, each with the check that its answer must pass.
//
// Answers are searched, not parsed: an object that is thrown away at once would cost k6 more than
// the rest of a check, on the processors that the server needs too.

import { check } from 'k6';
import http from 'k6/http';
import { Rate } from 'k6/metrics';

import { BASE_URL } from './load.js';

// Bound once: k6 looks what is imported up anew at each use, which took a twentieth of an arrival.
const verify = check;
const { asyncRequest, post } = http;

const QUEUE = `${BASE_URL}/api/v1/queue`;
const ENTER = `${QUEUE}/enter`;
const VALIDATE = `${QUEUE}/validate`;

// A visitor who has no answer by then has gone: the scenarios ask for a fraction of it.
const TIMEOUT = '10s';

const SUCCESS = /"result"\s*:\s*"success"/;
const POSITION = /"position"\s*:\s*[1-9]/;
const STATUS = /"status"\s*:\s*"([A-Z_]+)"/;
const POLL_MS = /"recommendedPollIntervalMs"\s*:\s*([1-9]\d*)/;
const TOKEN = /"token"\s*:\s*"([^"]+)"/;

// An entry is a success if it is right and came within this time. Source: the contract's scenario.
const SUCCESS_MS = 500;
const success = new Rate('success');

const answered = (response) => response.status === 200 && SUCCESS.test(response.body);

const CHECKS = {
  enter: { entered: (r) => r.status === 201 && SUCCESS.test(r.body) && POSITION.test(r.body) },
  poll: { 'status told': (r) => answered(r) && STATUS.test(r.body) && POLL_MS.test(r.body) },
  activate: { activated: answered },
  validate: { valid: answered },
  reject: { 'rejected, Q003': (r) => r.status === 401 && r.body.includes('"Q003"') },
  remove: { removed: answered },
};

const HEADERS = { 'Content-Type': 'application/json', 'Accept-Language': 'en' };

// Made once: k6 reads them anew for every request. Where calls of several kinds are made, each tells
// its own; where there is one kind, its scenario tells.
const PLAIN = { headers: HEADERS, timeout: TIMEOUT };
const PARAMS = {};
for (const name of Object.keys(CHECKS)) PARAMS[name] = { ...PLAIN, tags: { name } };
PARAMS.reject.responseCallback = http.expectedStatuses(401);

const named = (room, visitor) => `{"concertId":"${room}","userId":"${visitor}"}`;
const shown = (room, { visitor, token }) =>
  `{"concertId":"${room}","userId":"${visitor}","token":"${token}"}`;
const asked = (call, room, visitor) => `${QUEUE}/${call}?concertId=${room}&userId=${visitor}`;

function entered(response) {
  const right = verify(response, CHECKS.enter);
  success.add(right && response.timings.duration < SUCCESS_MS);
  return right;
}

// --- one call an iteration, and no other in the script -----------------------------------

export function enter(room, visitor) {
  return entered(post(ENTER, named(room, visitor), PLAIN));
}

export function validate(room, holder) {
  return verify(post(VALIDATE, shown(room, holder), PLAIN), CHECKS.validate);
}

// --- before the arrivals -----------------------------------------------------------------

export function reject(room, holder) {
  return verify(post(VALIDATE, shown(room, holder), PARAMS.reject), CHECKS.reject);
}

// Let many enter at once, and return each with its token.
export function enterAll(room, visitors) {
  const requests = visitors.map((visitor) => ['POST', ENTER, named(room, visitor), PARAMS.enter]);
  return http.batch(requests).map((response, index) => {
    const token = entered(response) ? TOKEN.exec(response.body)[1] : '';
    return { visitor: visitors[index], token };
  });
}

// Ask for many at once, and return those who wait still.
export function stillWaiting(room, visitors) {
  const requests = visitors.map((visitor) => ['GET', asked('status', room, visitor), null, PARAMS.poll]);
  const responses = http.batch(requests);
  return visitors.filter((_, index) => {
    const response = responses[index];
    return !verify(response, CHECKS.poll) || STATUS.exec(response.body)[1] === 'WAITING';
  });
}

// --- many visitors in one iteration ------------------------------------------------------

// When the server would like to be asked first, in ms; `null` if the visitor has not entered.
export async function join(room, visitor) {
  const response = await asyncRequest('POST', ENTER, named(room, visitor), PARAMS.enter);
  return entered(response) ? { againMs: 1000 * Number(response.headers['Retry-After'] || 0) } : null;
}

// Where the visitor stands, by what token it is known, and when the server would like to be asked
// again, in ms.
export async function poll(room, visitor) {
  const response = await asyncRequest('GET', asked('status', room, visitor), null, PARAMS.poll);
  if (!verify(response, CHECKS.poll)) return { state: '', token: '', againMs: 0 };
  const { body } = response;
  return {
    state: STATUS.exec(body)[1],
    token: (TOKEN.exec(body) || ['', ''])[1],
    againMs: Number(POLL_MS.exec(body)[1]),
  };
}

export async function activate(room, visitor) {
  const url = asked('activate', room, visitor);
  return verify(await asyncRequest('POST', url, null, PARAMS.activate), CHECKS.activate);
}

export async function remove(room, visitor) {
  const url = asked('remove', room, visitor);
  return verify(await asyncRequest('DELETE', url, null, PARAMS.remove), CHECKS.remove);
}
