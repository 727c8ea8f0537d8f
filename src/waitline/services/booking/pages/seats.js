// The seat picker: sections, the map of one, and the seats of a row as checkboxes, which keyboards
// and screen readers know. The map is a picture of the same: a tap on it chooses the row.

import { at, count, countSections, currency, listChanges, listFree, listRows, price, say } from "./api.js";

const REFRESH_MS = 3_000;
const BEST_MOST = 20; // Larger groups choose on the map.

export class SeatPicker {
  constructor(onChange, onProblem) {
    this.onChange = onChange;
    this.onProblem = onProblem;
    this.chosen = new Map(); // Seat id -> its section, row, name, price.
    this.timer = null;
    at("row").onchange = () => this.showRow(at("row").selectedIndex);
    at("row-before").onclick = () => this.showRow(this.row - 1);
    at("row-after").onclick = () => this.showRow(this.row + 1);
    at("overview").onclick = (event) => this.tapMap(event);
    at("seats").onkeydown = (event) => this.moveBetweenSeats(event);
    addEventListener("resize", () => this.draw());
    const dark = matchMedia("(prefers-color-scheme: dark)");
    if (dark.addEventListener) dark.addEventListener("change", () => this.draw());
  }

  async open(schedule) {
    this.close();
    this.schedule = schedule;
    this.most = schedule.seatsPerUser;
    this.section = null;
    this.chosen.clear();
    if (schedule.currency) currency(schedule.currency);
    at("map").hidden = true;
    await this.count();
    this.fillBest();
    const names = [...new Set(this.counts.map((one) => one.section))];
    if (names.length === 1) await this.choose(names[0]);
    this.onChange(this.chosen);
    this.poll();
  }

  close() {
    clearTimeout(this.timer);
    this.timer = null;
  }

  async count() {
    const { version, sections } = await countSections(this.schedule.scheduleId);
    this.version = this.version && this.section ? this.version : version;
    this.counts = sections;
    this.drawSections();
  }

  drawSections() {
    const list = at("sections");
    const names = [...new Set(this.counts.map((one) => one.section))];
    if (list.childElementCount !== names.length) {
      list.textContent = "";
      for (const name of names) {
        const label = document.createElement("label");
        label.className = "option";
        const input = Object.assign(document.createElement("input"), { type: "radio", name: "section", value: name });
        input.onchange = () => this.choose(name).catch(this.onProblem);
        const text = document.createElement("span");
        label.append(input, text);
        list.append(label);
      }
    }
    names.forEach((name, index) => {
      const parts = this.counts.filter((one) => one.section === name);
      const free = parts.reduce((sum, one) => sum + one.available, 0);
      const kinds = parts.map((one) => (one.grade === name ? "" : `${one.grade} `) + price(one.price));
      const label = list.children[index];
      const text = label.lastChild;
      const left = free ? say("free", { free: free.toLocaleString() }) : say("soldOut");
      put(text, [["b", name], ["span", [...new Set(kinds)].join(" · ")], ["span", left]]);
      label.classList.toggle("sold-out", !free);
      label.firstChild.checked = name === this.section;
    });
  }

  fillBest() {
    const grades = new Map();
    for (const { grade, price: amount, available } of this.counts) {
      const known = grades.get(grade) || { least: amount, available: 0 };
      grades.set(grade, { least: Math.min(known.least, amount), available: known.available + available });
    }
    fill(at("best-grade"), [...grades].map(([grade, { least, available }]) => ({
      value: grade,
      text: `${grade} · ${price(least)}${available ? "" : ` · ${say("soldOut")}`}`,
      disabled: !available,
    })));
    fill(at("best-count"), Array.from({ length: Math.min(this.most, BEST_MOST) }, (_, index) => ({
      value: index + 1,
      text: count("count", index + 1),
    })));
  }

  async choose(name) {
    const [plan, free] = await Promise.all([
      listRows(this.schedule.scheduleId, name),
      listFree(this.schedule.scheduleId, name),
    ]);
    this.section = name;
    this.plan = plan;
    this.free = new Set(free.map((seat) => seat.seatId));
    at("map").hidden = false;
    for (const input of at("sections").querySelectorAll("input")) input.checked = input.value === name;
    const open = plan.rows.findIndex((row) => this.freeIn(row) > 0);
    this.row = Math.max(0, open);
    this.refresh();
  }

  freeIn(row) {
    return row.seats.filter(([id]) => this.free.has(id)).length;
  }

  // Shows what has changed; the focus stays where it is.
  refresh() {
    if (!this.section) return;
    fill(at("row"), this.plan.rows.map((row, index) => ({
      value: index,
      text: say("rowFree", { row: row.row, free: this.freeIn(row) }),
    })));
    this.showRow(this.row);
  }

  showRow(index) {
    const { rows, categories } = this.plan;
    const before = this.row;
    this.row = Math.min(rows.length - 1, Math.max(0, index));
    const row = rows[this.row];
    at("row").selectedIndex = this.row;
    at("row-before").disabled = this.row === 0;
    at("row-after").disabled = this.row === rows.length - 1;
    at("row-title").textContent = say("row", { row: row.row });
    const list = at("seats");
    const anew = before !== this.row || list.dataset.of !== `${this.section} ${row.row}`;
    if (anew) {
      list.textContent = "";
      list.dataset.of = `${this.section} ${row.row}`;
      for (const seat of row.seats) list.append(this.seatBox(row, seat, categories[seat[3]]));
    }
    row.seats.forEach(([id, name], place) => {
      const input = list.children[place].firstChild;
      const [taken, chosen] = [!this.free.has(id), this.chosen.has(id)];
      const { grade, price: amount } = categories[row.seats[place][3]];
      const spoken = { section: this.section, row: row.row, seat: name, grade, price: price(amount) };
      input.checked = chosen;
      // Not `disabled`: the focus must not get lost, and screen readers should find it.
      input.setAttribute("aria-disabled", taken && !chosen);
      input.setAttribute("aria-label", say(taken && !chosen ? "seatTaken" : "seatName", spoken));
    });
    if (anew) this.tabStop(list.querySelector("input:not([aria-disabled=true])") || list.querySelector("input"));
    this.draw();
  }

  seatBox(row, [id, name, , category], { grade, price: amount }) {
    const label = document.createElement("label");
    label.className = "seat";
    label.dataset.category = category;
    const input = Object.assign(document.createElement("input"), { type: "checkbox", tabIndex: -1 });
    input.onclick = (event) => {
      if (input.getAttribute("aria-disabled") === "true") event.preventDefault();
    };
    input.onfocus = () => this.tabStop(input);
    input.onchange = () => this.pick(input, id, { section: this.section, row: row.row, seat: name, grade, price: amount });
    const text = document.createElement("span");
    text.setAttribute("aria-hidden", "true");
    text.textContent = name;
    label.append(input, text);
    return label;
  }

  pick(input, id, seat) {
    if (input.checked && this.chosen.size >= this.most) {
      input.checked = false;
      return this.onProblem({ code: "most" });
    }
    if (input.checked) this.chosen.set(id, seat);
    else this.chosen.delete(id);
    this.onChange(this.chosen);
    this.draw();
  }

  drop(id) {
    this.chosen.delete(id);
    this.onChange(this.chosen);
    if (this.section) this.showRow(this.row);
  }

  // One seat of a row is a stop of the Tab key; the arrow keys go on from there.
  tabStop(input) {
    for (const each of at("seats").querySelectorAll("input")) each.tabIndex = each === input ? 0 : -1;
  }

  moveBetweenSeats(event) {
    const boxes = [...at("seats").querySelectorAll("input")];
    const place = boxes.indexOf(event.target);
    const steps = { ArrowLeft: place - 1, ArrowRight: place + 1, Home: 0, End: boxes.length - 1 };
    if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      this.showRow(this.row + (event.key === "ArrowUp" ? -1 : 1));
      const there = at("seats").querySelectorAll("input");
      there[Math.min(place, there.length - 1)].focus();
    } else if (event.key in steps) {
      const next = boxes[Math.min(boxes.length - 1, Math.max(0, steps[event.key]))];
      next.focus();
    } else return;
    event.preventDefault();
  }

  // The names of seats that the box office has chosen.
  poll() {
    clearTimeout(this.timer);
    this.timer = setTimeout(async () => {
      try {
        if (document.visibilityState === "visible") await this.update();
      } catch (problem) {
        if (problem.status === 401) return this.onProblem(problem);
      }
      if (this.timer) this.poll();
    }, REFRESH_MS);
  }

  async update() {
    const { version, full, seats } = await listChanges(this.schedule.scheduleId, this.version);
    this.version = version;
    if (!full && !seats.length) return;
    await this.count();
    if (this.section) {
      if (full) this.free = new Set(seats.filter((seat) => seat.status === "AVAILABLE").map((seat) => seat.seatId));
      for (const { seatId, status } of full ? [] : seats) {
        if (status === "AVAILABLE") this.free.add(seatId);
        else this.free.delete(seatId);
      }
      this.refresh();
    }
    const gone = seats.filter(({ seatId, status }) => status !== "AVAILABLE" && this.chosen.has(seatId));
    for (const { seatId } of gone) this.chosen.delete(seatId);
    if (gone.length) {
      this.onChange(this.chosen);
      this.refresh();
      this.onProblem({ code: "takenNow" });
    }
  }

  geometry() {
    const width = at("overview").clientWidth;
    const { rows } = this.plan;
    const most = Math.max(...rows.map((row) => Math.max(...row.seats.map((seat) => seat[2]))));
    const step = Math.min(width / most, 11);
    const lineStep = Math.max(6, step);
    return { width, step, lineStep, left: (width - step * most) / 2, height: lineStep * rows.length };
  }

  draw() {
    const canvas = at("overview");
    if (!this.section || !canvas.clientWidth) return;
    const { width, step, lineStep, left, height } = this.geometry();
    const sharp = window.devicePixelRatio || 1;
    canvas.style.height = `${height}px`;
    canvas.width = width * sharp;
    canvas.height = height * sharp;
    const colours = getComputedStyle(canvas);
    const paint = canvas.getContext("2d");
    paint.scale(sharp, sharp);
    const size = Math.max(2, Math.min(step, lineStep) - 2);
    const colour = (name) => colours.getPropertyValue(name).trim();
    const [free, taken, chosen, band] = ["--free", "--line", "--accent", "--band"].map(colour);
    this.plan.rows.forEach((row, index) => {
      const y = index * lineStep;
      if (index === this.row) {
        paint.fillStyle = band;
        paint.fillRect(0, y - 1, width, lineStep + 2);
      }
      for (const [id, , position] of row.seats) {
        paint.fillStyle = this.chosen.has(id) ? chosen : this.free.has(id) ? free : taken;
        paint.fillRect(left + (position - 1) * step + 1, y + 1, size, lineStep - 2);
      }
    });
  }

  tapMap(event) {
    const { lineStep } = this.geometry();
    this.showRow(Math.floor(event.offsetY / lineStep));
  }
}

function fill(select, options) {
  const kept = select.value;
  if (select.childElementCount !== options.length) {
    select.textContent = "";
    for (const _ of options) select.append(document.createElement("option"));
  }
  options.forEach(({ value, text, disabled = false }, index) => {
    const option = select.children[index];
    if (option.textContent !== text) option.textContent = text;
    Object.assign(option, { value, disabled });
  });
  if (kept && options.some(({ value, disabled }) => String(value) === kept && !disabled)) select.value = kept;
  else select.value = (options.find(({ disabled }) => !disabled) || options[0] || {}).value;
}

export function put(element, parts) {
  parts.forEach(([tag, text], index) => {
    const there = element.children[index] || element.appendChild(document.createElement(tag));
    if (there.textContent !== text) there.textContent = text;
  });
}
