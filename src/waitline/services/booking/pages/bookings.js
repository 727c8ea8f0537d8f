// "My bookings": what the holder of this place or account holds and has bought, as the box office lists
// it. Nothing of it is kept in the browser.

import { at, count, currency, fetchTickets, price, say, when } from "./api.js";

function element(tag, className, text) {
  return Object.assign(document.createElement(tag), { className, textContent: text });
}

export function drawFacts(list, booking) {
  if (booking.currency) currency(booking.currency);
  const names = (booking.seats || []).map((seat) => say("seatShort", seat)).join("\n");
  const rows = [
    ["fact.concert", booking.title],
    ["fact.date", booking.startsAt ? when(booking) : ""],
    ["fact.seats", names || count("count", booking.seatIds.length)],
    ["fact.total", price(booking.amount)],
  ];
  list.textContent = "";
  for (const [name, value] of rows) {
    if (value) list.append(element("dt", "", say(name)), element("dd", "", value));
  }
}

// Each ticket with the code that door staff have on their list.
export async function drawTickets(part, number) {
  const list = element("ul", "tickets", "");
  for (const { seatNumber, code } of await fetchTickets(number)) {
    const row = element("li", "", "");
    row.append(element("span", "", seatNumber), " ", element("b", "", code));
    list.append(row);
  }
  part.textContent = "";
  if (list.firstChild) part.append(element("p", "label", say("codes")), list);
}

// How it stands: a refund says more than the state of the seats.
const standing = ({ refund, status }) => (refund === "none" ? status : `refund.${refund}`);

export class Bookings {
  constructor({ onPay, onCancel }) {
    Object.assign(this, { onPay, onCancel, all: [] });
  }

  draw(all) {
    this.all = all;
    const list = at("bookings");
    list.textContent = "";
    for (const booking of all) list.append(this.item(booking));
  }

  item(booking) {
    const item = element("li", "booking", "");
    const facts = element("dl", "facts", "");
    drawFacts(facts, booking);
    item.append(
      element("p", `standing ${standing(booking).replace(".", "-")}`, say(`own.${standing(booking)}`)),
      element("p", "label", say("number")),
      element("p", "booking-number", booking.reservationId),
      facts,
    );
    const { onPay, onCancel } = this;
    if (booking.status === "CONFIRMED") {
      const codes = element("div", "", "");
      item.append(codes);
      drawTickets(codes, booking.reservationId).catch(() => undefined); // The next look shows them.
    }
    if (booking.status === "PENDING") item.append(this.action("payHeld", booking, "", onPay));
    if (booking.status === "CONFIRMED") item.append(this.action("cancelBooking", booking, "plain", onCancel));
    return item;
  }

  action(word, booking, className, act) {
    const part = element("p", "actions", "");
    const button = Object.assign(element("button", className, say(word)), { type: "button" });
    button.setAttribute("aria-label", `${say(word)}, ${say("number")} ${booking.reservationId}`);
    button.onclick = () => act(booking, button);
    part.append(button);
    return part;
  }
}
