// The dates of a concert: which are on sale, and why the others are not.

import { at, local, now, say, when } from "./api.js";

const opensMs = (one) => Date.parse(one.opensAt || "") || 0;
const endsMs = (one) => Date.parse(one.salesEnd || "") || Date.parse(one.startsAt);

// Its sale state now: an open page sees sales open and end without a call.
function stateOf(one) {
  if (one.saleState === "CANCELLED" || one.saleState === "POSTPONED") return one.saleState;
  if (now() < opensMs(one)) return "NOT_OPEN";
  return now() < endsMs(one) ? "ON_SALE" : "ENDED";
}

export const onSale = (one) => stateOf(one) === "ON_SALE";

export class ScheduleList {
  constructor(onChoose) {
    this.onChoose = onChoose;
    this.all = [];
    this.chosen = null;
    this.drawn = "";
  }

  // Takes the dates as the box office lists them; the chosen one stays while it is on sale.
  take(schedules) {
    this.all = schedules;
    const same = schedules.find((one) => this.chosen && one.scheduleId === this.chosen.scheduleId);
    this.chosen = same && onSale(same) ? same : schedules.find(onSale) || null;
  }

  // Whether a state has changed with time since the list was drawn.
  outdated() {
    return this.drawn !== this.states();
  }

  states() {
    return this.all.map(stateOf).join();
  }

  draw() {
    this.drawn = this.states();
    const focused = [...at("schedules").querySelectorAll("input")].indexOf(document.activeElement);
    at("schedules").textContent = "";
    for (const one of this.all) at("schedules").append(this.option(one));
    if (focused >= 0) at("schedules").querySelectorAll("input")[focused].focus();
    const { all, chosen } = this;
    at("schedules-card").hidden = all.length === 1 && onSale(all[0]);
    at("none-on-sale").hidden = chosen !== null;
    at("seats-part").hidden = chosen === null;
    at("when").textContent = chosen && all.length === 1 ? when(chosen) : "";
  }

  option(one) {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "schedule" });
    const shut = !onSale(one);
    label.className = shut ? "option shut" : "option";
    input.checked = one === this.chosen;
    // Not disabled: the keyboard reaches it, so a screen reader says why it is not on sale.
    if (shut) input.setAttribute("aria-disabled", "true");
    input.onclick = (event) => shut && event.preventDefault();
    input.onchange = () => {
      this.chosen = one;
      this.onChoose(one);
    };
    const text = document.createElement("span");
    const title = document.createElement("b");
    title.textContent = when(one);
    text.append(title);
    if (shut) {
      const why = document.createElement("span");
      why.textContent = say(`sale.${stateOf(one)}`, { at: one.opensAt ? local(one.opensAt) : "" });
      text.append(" ", why);
    }
    label.append(input, text);
    return label;
  }
}
