// The calls of the booking service, each with the check that its answer must pass.
//
// The list of seats is searched, not parsed: it is a megabyte when the sale begins, and to parse it
// would take k6 many times what the service takes to send it.

import { check } from 'k6';
import http from 'k6/http';

import { BOOKING_URL } from './load.js';

// Bound once: see queue.js.
const verify = check;
const { asyncRequest } = http;

// Of the test data. Source: the wire contract.
export const CONCERT = '1';
const SEATS_OF_ALL = 10000;

const SEATS = `${BOOKING_URL}/api/v1/schedules/1/seats`;
const RESERVATIONS = `${BOOKING_URL}/api/v1/reservations`;
const PAYMENTS = `${BOOKING_URL}/api/v1/payments`;
const TEST_DATA = `${BOOKING_URL}/api/admin/test-data/init`;

const TIMEOUT = '10s';
const SUCCESS = /"result"\s*:\s*"success"/;
const RESERVATION = /"reservationId"\s*:\s*(\d+)/;

const isList = (body) => body[0] === '[' && body[body.length - 1] === ']';
const answered = (r, status) => r.status === status && SUCCESS.test(r.body);
// Somebody else was faster: no failure, but no seat either.
const lost = (r) => r.status === 409 && r.body.includes('"B003"');

const CHECKS = {
  seats: { 'seats listed': (r) => r.status === 200 && isList(r.body) },
  sections: { 'sections counted': (r) => r.status === 200 && r.body.includes('"sections":[') },
  reserve: {
    'reserved, or taken': (r) => lost(r) || (answered(r, 201) && r.body.includes('"PENDING"')),
  },
  pay: { paid: (r) => answered(r, 201) && r.body.includes('"COMPLETED"') },
  refund: { 'given back': (r) => answered(r, 200) && r.body.includes('"CANCELLED"') },
  init: { 'test data loaded': (r) => r.status === 200 && r.json('data.seats') === SEATS_OF_ALL },
};

const EITHER = http.expectedStatuses(201, 409);

function params(name, { user, token }) {
  const headers = {
    'Content-Type': 'application/json',
    'Accept-Language': 'en',
    'X-User-Id': user,
    'X-Queue-Token': token,
  };
  return { headers, timeout: TIMEOUT, tags: { name } };
}

// --- before the arrivals -----------------------------------------------------------------

// Put all seats on sale as new.
export function init() {
  // A full database takes a while to forget.
  const response = http.post(TEST_DATA, null, { timeout: '60s', tags: { name: 'init' } });
  if (!verify(response, CHECKS.init)) throw new Error(`no test data: status ${response.status}`);
}

// --- of a buyer: a user and a token --------------------------------------------------------

// A free seat, any of all, and its price; `null` if there is none.
export async function anySeat(buyer) {
  return pick(await asyncRequest('GET', SEATS, null, params('seats', buyer)));
}

// The same, of a section that has some: first the sections are asked for, then the one.
export async function anySeatOfSection(buyer) {
  const told = await asyncRequest('GET', `${SEATS}?view=sections`, null, params('sections', buyer));
  if (!verify(told, CHECKS.sections)) return null;
  const { sections } = JSON.parse(told.body);
  const free = sections.reduce((sum, { available }) => sum + available, 0);
  let left = Math.random() * free;
  const chosen = sections.find(({ available }) => (left -= available) < 0);
  if (!chosen) return null;
  const url = `${SEATS}?section=${encodeURIComponent(chosen.section)}`;
  return pick(await asyncRequest('GET', url, null, params('seats', buyer)));
}

function pick(response) {
  if (!verify(response, CHECKS.seats)) return null;
  const { body } = response;
  // Wherever one lands, the next seat; seats are equally long, but for a digit or two.
  let at = body.indexOf('{', Math.floor(Math.random() * body.length));
  if (at < 0) at = body.indexOf('{');
  return at < 0 ? null : JSON.parse(body.slice(at, body.indexOf('}', at) + 1));
}

// The number of the reservation, or '' if somebody else was faster.
export async function reserve(buyer, { seatId, scheduleId }) {
  const own = { ...params('reserve', buyer), responseCallback: EITHER };
  const response = await asyncRequest('POST', RESERVATIONS, JSON.stringify({ seatId, scheduleId }), own);
  return verify(response, CHECKS.reserve) && response.status === 201
    ? RESERVATION.exec(response.body)[1] : '';
}

export async function pay(buyer, reservation, { price }) {
  // As text: numbers of 64 bits may be more than JavaScript can hold.
  const body = `{"reservationId":${reservation},"userId":"${buyer.user}","amount":${price},`
    + `"paymentMethod":"CARD","concertId":"${CONCERT}"}`;
  return verify(await asyncRequest('POST', PAYMENTS, body, params('pay', buyer)), CHECKS.pay);
}

// Give a reservation back that was paid for.
export async function refund(buyer, reservation) {
  const url = `${RESERVATIONS}/${reservation}`;
  return verify(await asyncRequest('DELETE', url, null, params('refund', buyer)), CHECKS.refund);
}
