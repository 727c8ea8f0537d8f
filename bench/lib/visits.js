// What visitors do from coming to going, in the scenarios in which they stay: each many calls.

import { Rate, Trend } from 'k6/metrics';

import { CONCERT, anySeat, anySeatOfSection, pay, reserve } from './booking.js';
import { between, newBuyer, newcomer, pause, sinceMs } from './load.js';
import { activate, join, poll, remove } from './queue.js';

const POLL_MS = 1000;

const activationWait = new Trend('activation_wait', true);
const removalSuccess = new Rate('removal_success');
const journeyTime = new Trend('journey_time', true);
const booked = new Rate('booked');
// Of those who try to reserve, who is first.
const seatWon = new Rate('seat_won');

const CHOICES = { whole: anySeat, sections: anySeatOfSection };

// How buyers choose: among all seats, or in a section that has some.
export function choice(name) {
  if (!CHOICES[name]) throw new Error(`SEATS must be one of ${Object.keys(CHOICES).join(', ')}`);
  return CHOICES[name];
}

// Enter, and ask each second until one is let in or loses patience: then it counts with all the
// time that it waited.
async function queued(room, visitor, patienceMs) {
  const cameMs = Date.now();
  if (!(await join(room, visitor))) return null;
  let told;
  do {
    await pause(POLL_MS);
    told = await poll(room, visitor);
  } while (!letIn(told) && sinceMs(cameMs) < patienceMs);
  return { ...told, cameMs };
}

const letIn = ({ state }) => state === 'READY' || state === 'ACTIVE';

// Come, shop for a while, and leave.
export async function lookAround(room, { leastMs, mostMs, patienceMs }) {
  const visitor = newcomer();
  const told = await queued(room, visitor, patienceMs);
  if (!told) return;
  if (told.state === 'READY') await activate(room, visitor);
  activationWait.add(Date.now() - told.cameMs);
  if (letIn(told)) await pause(between(leastMs, mostMs));
  removalSuccess.add(await remove(room, visitor));
}

// Come, choose a seat, and pay. Returns the buyer and its reservation, or `null`.
//
// Who found a seat taken chooses again, `retries` times at most. Who has paid need not leave: the
// payment gives the slot to the next.
export async function buy({ choose, retries, patienceMs }) {
  const user = newBuyer();
  const told = await queued(CONCERT, user, patienceMs);
  if (!told) {
    booked.add(false);
    return null;
  }
  activationWait.add(Date.now() - told.cameMs);
  const buyer = { user, token: told.token };
  const reservation = letIn(told) ? await bought(buyer, choose, retries) : '';
  booked.add(reservation !== '');
  journeyTime.add(Date.now() - told.cameMs);
  if (!reservation) removalSuccess.add(await remove(CONCERT, user));
  return reservation ? { buyer, reservation } : null;
}

async function bought(buyer, choose, retries) {
  for (let tries = 0; tries <= retries; tries += 1) {
    const seat = await choose(buyer);
    if (!seat) return '';
    const reservation = await reserve(buyer, seat);
    seatWon.add(reservation !== '');
    if (reservation) return (await pay(buyer, reservation, seat)) ? reservation : '';
  }
  return '';
}
