// A whole sale as somebody else wrote it, for any two services of the contract: nothing here knows
// of our runner.
import http from 'k6/http';
import { check, sleep } from 'k6';
import { Rate } from 'k6/metrics';

const QUEUE = __ENV.QUEUE_URL || 'http://queue-service:8081';
const CORE = __ENV.CORE_URL || 'http://core-service:8080';
const booked = new Rate('booked');

export const options = {
  scenarios: { sale: { executor: 'per-vu-iterations', vus: 5, iterations: 2, maxDuration: '60s' } },
  thresholds: { booked: ['rate==1'], checks: ['rate==1'] },
};

export function setup() {
  const loaded = http.post(`${CORE}/api/admin/test-data/init`);
  check(loaded, { 'seats on sale': (r) => r.status === 200 && r.json('success') && r.json('data.seats') === 10000 });
  http.get(`${CORE}/api/v1/health`);
}

export default function () {
  const userId = __VU * 1000 + __ITER;
  const json = { 'Content-Type': 'application/json' };
  const entered = http.post(`${QUEUE}/api/v1/queue/enter`, JSON.stringify({ concertId: '1', userId }), { headers: json });
  check(entered, { entered: (r) => r.status === 201 && r.json('data.position') > 0 });
  let status;
  for (let polls = 0; polls < 30; polls += 1) {
    status = http.get(`${QUEUE}/api/v1/queue/status?concertId=1&userId=${userId}`).json('data');
    if (status.status === 'READY' || status.status === 'ACTIVE') break;
    sleep(1);
  }
  const headers = { ...json, 'X-User-Id': `${userId}`, 'X-Queue-Token': status.token };
  const seats = http.get(`${CORE}/api/v1/schedules/1/seats`, { headers }).json();
  // Each has a part of the hall to choose from, so that nobody is too late.
  const seat = seats[(__VU * 2 + __ITER) * 100];
  const reserved = http.post(`${CORE}/api/v1/reservations`, JSON.stringify({ seatId: seat.seatId, scheduleId: 1 }), { headers });
  check(reserved, { reserved: (r) => r.status === 201 && r.json('data.status') === 'PENDING' });
  const reservationId = reserved.json('data.reservationId');
  const paid = http.post(`${CORE}/api/v1/payments`, JSON.stringify({
    reservationId, userId: `${userId}`, amount: seat.price, paymentMethod: 'CREDIT_CARD', concertId: '1',
  }), { headers });
  booked.add(check(paid, { paid: (r) => r.status === 201 && r.json('data.status') === 'COMPLETED' }));
  const shown = http.get(`${CORE}/api/v1/reservations/${reservationId}`, { headers });
  check(shown, { confirmed: (r) => r.json('status') === 'CONFIRMED' && r.json('data.status') === 'CONFIRMED' });
}
