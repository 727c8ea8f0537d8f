// The buyer's page: choose seats, pay, done. What is shown follows from the reservations, which the
// box office lists for those who prove the place or the account; the browser keeps nothing of them.

import {
  Write,
  at,
  count,
  fetchReservation,
  leave,
  listOwn,
  listSchedules,
  now,
  openSession,
  page,
  price,
  say,
} from "./api.js";
import { Bookings, drawFacts, drawTickets } from "./bookings.js";
import { ScheduleList } from "./schedules.js";
import { SeatPicker } from "./seats.js";

const PANELS = ["loading", "gate", "choose", "held", "paid", "mine", "over"];
const RECHECK_MS = 2_000;
const RELISTS_MAX = 4;
const SHUT = ["schedule-stopped", "sales-over", "sales-not-open"];

let session = null;
let reservation = null;
let announced = new Set();

const picker = new SeatPicker(drawChoice, fail);
const schedules = new ScheduleList((chosen) => picker.open(chosen).catch(fail));
const bookings = new Bookings({
  onPay: (booking) => {
    reservation = booking;
    hold();
  },
  onCancel: (booking, button) => {
    if (confirm(say("confirmCancel"))) busy(button, "cancelling", () => giveBack(booking));
  },
});

// --- panels ------------------------------------------------------------------------------

function show(panel) {
  const changed = at(panel).hidden;
  for (const id of PANELS) at(id).hidden = id !== panel;
  // Visitors who come again, as accounts do, find earlier bookings below the seats.
  if (panel === "choose") at("mine").hidden = !bookings.all.length;
  const steps = ["choose", "held", "paid"];
  at("steps").hidden = !steps.includes(panel);
  for (const step of steps) {
    if (step === panel) at(`step-${step}`).setAttribute("aria-current", "step");
    else at(`step-${step}`).removeAttribute("aria-current");
  }
  at("visit").hidden = panel !== "choose" && panel !== "held";
  if (panel !== "choose") picker.close();
  const title = at(panel).querySelector("h2");
  if (changed && title) {
    document.title = `${title.textContent} – ${page.title}`;
    title.focus();
    scrollTo(0, 0);
  }
}

function notice(text) {
  at("notice").textContent = text;
  at("notice").hidden = !text;
  if (text) at("notice").scrollIntoView({ block: "center" });
}

function speakOnce(name) {
  if (announced.has(name)) return;
  announced.add(name);
  at("spoken").textContent = say(name);
}

function fail(problem) {
  if (problem instanceof TypeError || problem instanceof ReferenceError) console.error(problem);
  const { code, status, detail } = problem;
  if (status === 401) return reservation ? notice(say("other")) : end("over");
  if (code === "most") return notice(say("most", { most: picker.most }));
  // A rule of the sale, such as a deadline or a pause: the box office says which.
  const rule = status === 409 || status === 429 ? detail : "";
  notice(rule || say(page.texts[code] ? code : "other"));
}

function end(why) {
  at("over-title").textContent = say(`over.${why}`);
  at("over-text").textContent = say(`over.${why}Text`);
  notice("");
  show("over");
}

// Runs what a button starts: one thing at a time, with a word about it on the button.
async function busy(button, word, action) {
  if (button.getAttribute("aria-busy") === "true") return;
  const text = button.textContent;
  button.setAttribute("aria-busy", "true");
  button.textContent = say(word);
  notice("");
  try {
    await action();
  } catch (problem) {
    fail(problem);
  } finally {
    button.removeAttribute("aria-busy");
    if (button.textContent === say(word)) button.textContent = text;
  }
}

// --- choosing ----------------------------------------------------------------------------

async function choose(message = "") {
  reservation = null;
  announced = new Set();
  show("choose");
  notice(message);
  schedules.draw();
  if (schedules.chosen) await picker.open(schedules.chosen);
}

// Shows the dates as they are now: a sale may have opened or ended, or a date may have been stopped.
async function redate(listed) {
  const before = schedules.chosen && schedules.chosen.scheduleId;
  schedules.take(listed);
  schedules.draw();
  const { chosen } = schedules;
  if (chosen && chosen.scheduleId !== before) return picker.open(chosen);
  if (chosen) return undefined;
  picker.close();
  picker.chosen.clear();
  return drawChoice(picker.chosen);
}

function drawChoice(chosen) {
  const all = [...chosen.values()];
  const total = all.reduce((sum, seat) => sum + seat.price, 0);
  at("chosen-count").textContent = count("selected", all.length);
  at("chosen-total").textContent = all.length ? price(total) : "";
  at("bar").hidden = !all.length;
  const list = at("chosen");
  list.textContent = "";
  for (const [id, seat] of chosen) {
    const name = say("seatShort", seat);
    const button = Object.assign(document.createElement("button"), { type: "button", className: "chip" });
    button.textContent = `${name} ×`;
    button.setAttribute("aria-label", say("remove", { seat: name }));
    button.onclick = () => {
      picker.drop(id);
      (list.querySelector("button") || at("row")).focus();
    };
    const item = document.createElement("li");
    item.append(button);
    list.append(item);
  }
}

// The list may be older than a refusal: it is kept for some seconds.
async function relist(shut, looks = RELISTS_MAX) {
  await redate(await listSchedules());
  if (schedules.chosen?.scheduleId !== shut || looks <= 1) return;
  setTimeout(() => relist(shut, looks - 1).catch(() => {}), RECHECK_MS);
}

async function reserve(wanted) {
  const body = { scheduleId: schedules.chosen.scheduleId, ...wanted };
  let made;
  try {
    made = await new Write("POST", "api/v1/reservations", body).run();
  } catch (problem) {
    const words = { "seat-taken": "takenNow", "seats-contested": "takenNow", "sold-out": "noneLeft", "too-many-seats": "tooMany" };
    if (SHUT.includes(problem.kind)) await relist(body.scheduleId);
    if (!words[problem.kind]) throw problem;
    await picker.update();
    return notice(say(words[problem.kind]));
  }
  // Without the list, the page only has less to say of the seats.
  await refresh().catch(() => {});
  reservation = bookings.all.find((one) => one.reservationId === made.reservationId) || { ...schedules.chosen, ...made };
  hold();
}

// --- paying ------------------------------------------------------------------------------

function hold() {
  announced.delete("holdMinute");
  drawFacts(at("held-facts"), reservation);
  const { amount } = reservation;
  const payable = amount === 0 || page.methods.length > 0;
  at("pay-now").textContent = amount === 0 ? say("book") : say(page.playMoney ? "payPlay" : "pay", { amount: price(amount) });
  at("pay-now").disabled = !payable;
  at("no-method").hidden = payable;
  at("method-part").hidden = amount === 0 || page.methods.length < 2;
  show("held");
  tick();
}

let payment = null; // The attempt: sent again with its key until it has an answer.

async function pay() {
  const method = reservation.amount === 0 ? "FREE" : at("method").value || "CARD";
  if (!payment || payment.body.paymentMethod !== method) {
    payment = new Write("POST", "api/v1/payments", {
      reservationId: reservation.reservationId,
      userId: session.userId,
      amount: reservation.amount,
      paymentMethod: method,
      concertId: page.room,
    });
  }
  try {
    await payment.run();
  } catch (problem) {
    return unpaid(problem);
  }
  payment = null;
  paid();
}

async function unpaid(problem) {
  if (problem.code === "P001") {
    payment = null;
    return notice(say("declined"));
  }
  // Its answer was lost, or it is still in progress: the reservation says how it ended.
  await look().catch(() => {});
  if (reservation.status === "CONFIRMED") return paid();
  if (problem.code === "B005" || reservation.status !== "PENDING") return choose(say("holdOver"));
  if (problem.status !== 409) throw problem;
  notice(say("payRunning"));
  await new Promise((resolve) => setTimeout(resolve, RECHECK_MS));
  return pay();
}

function paid() {
  reservation.status = "CONFIRMED";
  at("number").textContent = reservation.reservationId;
  drawFacts(at("paid-facts"), reservation);
  notice("");
  show("paid");
  drawTickets(at("codes"), reservation.reservationId)
    .then(() => (at("codes-part").hidden = !at("codes").firstChild))
    .catch(() => undefined); // "My bookings" shows them, too.
}

async function cancel({ reservationId }) {
  await new Write("DELETE", `api/v1/reservations/${reservationId}`).run().catch((problem) => {
    // Run out, or cancelled in another tab: nothing is held any more.
    if (problem.code !== "B005" && problem.code !== "B004") throw problem;
  });
}

async function release() {
  await cancel(reservation);
  await choose(say("released"));
}

async function giveBack(booking) {
  await cancel(booking);
  reservation = null;
  await refresh();
  show("mine");
  notice(say("cancelled"));
}

// --- my bookings -------------------------------------------------------------------------

async function refresh() {
  bookings.draw((await listOwn()).filter((one) => one.queue === session.room));
}

async function look() {
  reservation = { ...reservation, ...(await fetchReservation(reservation.reservationId)) };
}

// --- time --------------------------------------------------------------------------------

const clock = (ms) => {
  const leftS = Math.max(0, Math.round(ms / 1_000));
  return `${Math.floor(leftS / 60)}:${String(leftS % 60).padStart(2, "0")}`;
};

function tick() {
  if (!session) return;
  const visitMs = session.expiresAtMs - now();
  at("visit-left").textContent = clock(visitMs);
  if (at("more")) at("more").hidden = visitMs > 120_000;
  if (!at("choose").hidden) {
    if (visitMs <= 60_000) speakOnce("visitMinute");
    if (visitMs <= 0) end("over");
    else if (schedules.outdated()) redate(schedules.all).catch(fail);
  }
  if (at("held").hidden) return;
  const holdMs = Date.parse(reservation.expiresAt) - now();
  at("hold-left").textContent = clock(holdMs);
  if (holdMs <= 60_000) speakOnce("holdMinute");
  // The box office decides: its clock, and a payment in progress, may keep the seats longer.
  if (holdMs < -1_000 && at("pay-now").getAttribute("aria-busy") !== "true") recheck();
}

let rechecking = false;

async function recheck() {
  if (rechecking) return;
  rechecking = true;
  try {
    await look();
    if (reservation.status === "CONFIRMED") paid();
    else if (reservation.status !== "PENDING") await choose(say("holdOver"));
  } catch (problem) {
    if (problem.status === 404) await choose(say("holdOver")).catch(fail);
  } finally {
    setTimeout(() => (rechecking = false), RECHECK_MS);
  }
}

// --- start -------------------------------------------------------------------------------

// What is held comes first. A payment has ended the stay before it: then there are the bookings only.
async function resume() {
  await refresh();
  const held = bookings.all.find((one) => one.status === "PENDING" && one.concertId === page.concert);
  if (held) {
    reservation = held;
    hold();
  } else if (bookings.all.some((one) => Date.parse(one.paidAt || "") >= session.joinedAtMs)) {
    show("mine");
  } else {
    await choose();
  }
}

async function start() {
  try {
    session = await openSession();
  } catch (problem) {
    if (problem.status === 401) return show("gate");
    throw problem;
  }
  tick();
  schedules.take(await listSchedules());
  await resume();
}

async function startUntilItWorks() {
  try {
    await start();
  } catch (problem) {
    fail(problem);
    if (!at("loading").hidden) setTimeout(startUntilItWorks, RECHECK_MS);
  }
}

at("best").onsubmit = (event) => {
  event.preventDefault();
  const wanted = { grade: at("best-grade").value, count: Number(at("best-count").value) };
  busy(at("best").querySelector("button"), "reserving", () => reserve(wanted));
};
at("reserve").onclick = () => {
  const wanted = { seatIds: [...picker.chosen.keys()].sort((one, two) => one - two) };
  busy(at("reserve"), "reserving", () => reserve(wanted));
};
at("pay").onsubmit = (event) => {
  event.preventDefault();
  busy(at("pay-now"), "paying", pay);
};
at("release").onclick = () => busy(at("release"), "cancelling", release);
at("refund").onclick = () => bookings.onCancel(reservation, at("refund"));
at("show-mine").onclick = () => busy(at("show-mine"), "loading", async () => {
  await refresh();
  show("mine");
});
at("leave").onclick = () => {
  if (!confirm(say("confirmLeave"))) return;
  busy(at("leave"), "loading", async () => {
    if (reservation && reservation.status === "PENDING") await cancel(reservation);
    await leave();
    end("left");
  });
};
at("print").onclick = () => print();
setInterval(tick, 1_000);
startUntilItWorks();
