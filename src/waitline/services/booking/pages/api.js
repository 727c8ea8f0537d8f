// Calls of the box office, and how this page writes money, times and sentences.

const TIMEOUT_MS = 15_000; // A payment may take some seconds at the provider.

export const page = JSON.parse(document.getElementById("page").textContent);
// The service may be below a path of its host, where a proxy puts it.
const base = new URL("../../../", import.meta.url);

let session = null;
let clockAheadMs = 0; // How far the server's clock is ahead of this browser's.

export const now = () => Date.now() + clockAheadMs;
export const at = (id) => document.getElementById(id);

// A sentence in the page's language, with its braces filled in.
export function say(name, values = {}) {
  return page.texts[name].replace(/\{(\w+)\}/g, (_, key) => values[key]);
}

export const count = (name, number) =>
  say(page.texts[`${name}.${number}`] ? `${name}.${number}` : `${name}.n`, { count: number });

let money = null;

export function currency(code) {
  const digits = page.digits[code] ?? 2;
  const format = new Intl.NumberFormat(page.language, {
    style: "currency",
    currency: code,
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
  money = (amount) => format.format(amount / 10 ** digits);
}
currency("KRW");

export const price = (amount) => money(amount);

// A performance is shown at the clock of its venue, with the offset where the browser has another.
export const when = (schedule) => local(schedule.startsAtLocal || schedule.startsAt);

// A time in the offset in which it was given.
export function local(time) {
  const [, sign, hours, minutes] = /([+-])(\d\d):?(\d\d)$/.exec(time) || [];
  return instant(Date.parse(time), sign && Number(`${sign}1`) * (Number(hours) * 60 + Number(minutes)));
}

function instant(ms, offsetMin) {
  const own = offsetMin === undefined;
  const format = new Intl.DateTimeFormat(page.language, {
    weekday: "short",
    year: "numeric",
    month: "long",
    day: "numeric",
    hour: "numeric",
    minute: "2-digit",
    ...(own ? {} : { timeZone: "UTC" }),
  });
  if (own) return format.format(ms);
  const text = format.format(ms + offsetMin * 60_000);
  const elsewhere = -new Date(ms).getTimezoneOffset() !== offsetMin;
  const hours = offsetMin / 60;
  return elsewhere ? `${text} (UTC${hours < 0 ? "−" : "+"}${Math.abs(hours)})` : text;
}

export class Problem extends Error {
  constructor(code, status = 0, kind = "", detail = "") {
    super(code);
    this.code = code;
    this.status = status;
    this.kind = kind; // The problem's name in docs/problems.md.
    this.detail = detail; // A sentence in the page's language.
  }
}

async function send(path, { method = "GET", body, headers = {}, cache = "default" } = {}) {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), TIMEOUT_MS);
  const given = { Accept: "application/json", "Accept-Language": page.language, ...headers };
  if (session) given["X-User-Id"] = encodeURIComponent(session.userId);
  if (body) given["Content-Type"] = "application/json";
  let response;
  let content;
  try {
    response = await fetch(new URL(path, base), {
      method,
      cache,
      headers: given,
      body: body && JSON.stringify(body),
      credentials: "same-origin",
      signal: controller.signal,
    });
    content = await response.json();
  } catch (error) {
    if (!response || response.ok) throw new Problem(navigator.onLine ? "down" : "offline");
    content = {};
  } finally {
    clearTimeout(timer);
  }
  if (response.ok) return content;
  const kind = String(content.type).split(":").pop();
  throw new Problem(response.status >= 500 ? "down" : content.code, response.status, kind, content.detail);
}

const newKey = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

// A write that may be sent again: the same key does it once, whatever became of the answers.
export class Write {
  constructor(method, path, body) {
    Object.assign(this, { method, path, body, key: newKey() });
  }

  async run() {
    for (let attempt = 0; ; attempt += 1) {
      try {
        const { method, body } = this;
        const answer = await send(this.path, { method, body, headers: { "Idempotency-Key": this.key } });
        return answer.data;
      } catch (problem) {
        if (problem.code !== "down" || attempt === 2) throw problem;
        await new Promise((resolve) => setTimeout(resolve, 700 * (attempt + 1)));
      }
    }
  }
}

const concert = `shop/concerts/${page.concert}`;

export async function openSession() {
  session = await send(`${concert}/session`);
  clockAheadMs = session.asOfMs - Date.now();
  return session;
}

export const leave = () => send(`${concert}/session`, { method: "DELETE" });
// Not from the browser's cache: after a refusal, the list has to say why.
export const listSchedules = async () =>
  (await send(`api/v1/concerts/${page.concert}/schedules`, { cache: "no-cache" })).data.schedules;
export const listOwn = async () => (await send("api/v1/reservations?mine")).data.reservations;
export const fetchReservation = async (id) => (await send(`api/v1/reservations/${id}`)).data;
export const fetchTickets = async (id) => (await send(`api/v1/reservations/${id}/tickets`)).data.tickets;

export const countSections = (schedule) => send(`api/v1/schedules/${schedule}/seats?view=sections`);
export const listFree = (schedule, section) =>
  send(`api/v1/schedules/${schedule}/seats?section=${encodeURIComponent(section)}`);
export const listRows = (schedule, section) =>
  send(`shop/schedules/${schedule}/rows?section=${encodeURIComponent(section)}`);
export const listChanges = (schedule, version) =>
  send(`api/v1/schedules/${schedule}/seats?since=${encodeURIComponent(version)}`);
