// Protection rules: which room guards a request; the first match wins. Pure.

const RULES_MAX = 100;
const PATTERNS_MAX = 20;
const PATTERN_BYTES_MAX = 256;

const LISTED = ["host", "path", "method", "userAgent"];
const NAMED = ["header", "cookie"];

export class RulesInvalid extends Error {}

// Whether a text matches a pattern, in which `*` stands for any text. No regular expression: with
// twenty wildcards, backtracking could take seconds.
export function matches(pattern, text) {
  const parts = pattern.split("*");
  if (parts.length === 1) return text === pattern;
  const last = parts.pop();
  const first = parts.shift();
  const end = text.length - last.length;
  let at = first.length;
  if (end < at || !text.startsWith(first) || !text.endsWith(last)) return false;
  for (const part of parts) {
    const found = text.indexOf(part, at);
    if (found < 0 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}

// A path as rules see it: `/x/../buy/1`, `//buy/1`, `/%62uy/1` are all `/buy/1`. `target` is the
// path as sent, its bytes as Latin-1. Escapes are decoded once, as frameworks do before they route.
export function normalPath(target) {
  const bytes = [];
  for (let at = 0; at < target.length; at += 1) {
    const escaped = /^%([0-9A-Fa-f]{2})/.exec(target.slice(at, at + 3));
    bytes.push(escaped ? parseInt(escaped[1], 16) : target.charCodeAt(at) & 0xff);
    if (escaped) at += 2;
  }
  const parts = new TextDecoder("utf-8", { ignoreBOM: true })
    .decode(new Uint8Array(bytes))
    .replaceAll("\\", "/")
    .split("/");
  const segments = [];
  for (const part of parts) {
    if (part === "..") segments.pop();
    else if (part !== "" && part !== ".") segments.push(part);
  }
  const endsOpen = ["", ".", ".."].includes(parts.at(-1)) && segments.length > 0;
  return `/${segments.join("/")}${endsOpen ? "/" : ""}`;
}

// A `Host` header in lower case, without its port and a final dot.
export function normalHost(host) {
  const lower = host.trim().toLowerCase();
  if (lower.startsWith("[")) return `${lower.split("]")[0]}]`;
  return lower.split(":")[0].replace(/\.$/, "");
}

// The values of cookies, by name; a space before `=` is part of the name.
export function cookiesOf(header) {
  const found = new Map();
  for (const pair of header.split(";")) {
    const equals = pair.indexOf("=");
    if (equals < 0) continue;
    const name = pair.slice(0, equals).trimStart();
    const value = pair.slice(equals + 1).trim();
    if (found.has(name)) found.get(name).push(value);
    else found.set(name, [value]);
  }
  return found;
}

// Reads a document as the queue serves it. Members that we do not know are ignored, but for
// conditions: without a condition that it does not know, a rule would match more than was meant.
export function parseRules(document) {
  if (!isObject(document) || !Array.isArray(document.rules)) {
    throw new RulesInvalid('a document is {"version": 1, "rules": […]}');
  }
  if (document.rules.length > RULES_MAX) throw new RulesInvalid(`at most ${RULES_MAX} rules`);
  const rules = document.rules.map((one, number) => rule(one, `rules[${number}]`));
  const rooms = new Map();
  for (const one of rules) if (one.room && !rooms.has(one.room)) rooms.set(one.room, one);
  return { version: document.version ?? 0, rules, rooms };
}

// The first rule that matches a request; undefined if none does.
export function matchRule(rules, request) {
  return rules.rules.find((one) => one.conditions.every((holds) => holds(request)));
}

function rule(one, at) {
  if (!isObject(one)) throw new RulesInvalid(`${at} must be an object`);
  const action = choice(one, "action", at, ["queue", "bypass"]);
  const room = one.room ?? "";
  if (typeof room !== "string" || (action === "queue") !== (room !== "")) {
    throw new RulesInvalid(`${at}.room must name a room if the action is queue, and only then`);
  }
  const bind = one.bind ?? false;
  if (typeof bind !== "boolean") throw new RulesInvalid(`${at}.bind must be true or false`);
  return {
    name: String(one.name ?? at),
    action,
    room,
    mode: choice(one, "mode", at, ["enforce", "observe"]),
    whenUnreachable: choice(one, "whenUnreachable", at, ["open", "closed"]),
    bind,
    conditions: conditions(one.when ?? {}, `${at}.when`),
  };
}

function choice(one, name, at, among) {
  const value = one[name] ?? among[0];
  if (!among.includes(value)) throw new RulesInvalid(`${at}.${name} must be ${among.join(" or ")}`);
  return value;
}

function conditions(when, at) {
  if (!isObject(when)) throw new RulesInvalid(`${at} must be an object`);
  for (const name of Object.keys(when)) {
    if (!LISTED.includes(name) && !NAMED.includes(name)) {
      throw new RulesInvalid(`${at}.${name} is not a condition that this version knows`);
    }
  }
  // An empty list is served for a condition that is absent.
  const given = LISTED.filter((name) => name in when && when[name].length !== 0);
  const listed = given.map((name) => onOne(name, patterns(when[name], `${at}.${name}`)));
  const named = NAMED.filter((kind) => kind in when).flatMap((kind) => {
    if (!isObject(when[kind])) throw new RulesInvalid(`${at}.${kind} must be an object of lists`);
    return Object.entries(when[kind]).map(([name, texts]) =>
      onNamed(kind, name, patterns(texts, `${at}.${kind}.${name}`)),
    );
  });
  return [...listed, ...named];
}

function onOne(name, found) {
  const folded = found.map((pattern) => pattern.toLowerCase());
  const any = (among, text) => among.some((pattern) => matches(pattern, text));
  if (name === "host") return (request) => any(folded, request.normalHost);
  if (name === "path") return (request) => any(found, request.normalPath);
  if (name === "method") return (request) => any(folded, request.method.toLowerCase());
  return (request) =>
    "user-agent" in request.headers && any(folded, request.headers["user-agent"].toLowerCase());
}

function onNamed(kind, name, found) {
  const any = (text) => found.some((pattern) => matches(pattern, text));
  if (kind === "cookie") return (request) => (request.cookies.get(name) ?? []).some(any);
  const field = name.toLowerCase();
  return (request) => field in request.headers && any(request.headers[field]);
}

function patterns(texts, at) {
  if (!Array.isArray(texts) || texts.length < 1 || texts.length > PATTERNS_MAX) {
    throw new RulesInvalid(`${at} must be a list of 1 to ${PATTERNS_MAX} patterns`);
  }
  for (const text of texts) {
    const bytes = typeof text === "string" ? new TextEncoder().encode(text).length : 0;
    if (bytes < 1 || bytes > PATTERN_BYTES_MAX) {
      throw new RulesInvalid(`${at}: a pattern has 1 to ${PATTERN_BYTES_MAX} bytes of text`);
    }
  }
  return texts;
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
