// What the waiting page shows and says: panels, texts, live region. Knows nothing of the service.
//
// Input from the server and the address is set as text, never as markup.

import { TEXTS } from "./texts.js";

const SPOKEN_MS = 5_000; // Nobody should come across a sentence when it is out of date.
const PANELS = ["gate", "line", "turn", "over"];

export const language = chooseLanguage();
export const T = TEXTS[language];
export const at = (id) => document.getElementById(id);

const figures = new Intl.NumberFormat(language);
export const figure = (count) => figures.format(count);

function chooseLanguage() {
  const asked = new URLSearchParams(location.search).get("lang");
  const kept = /(?:^|; )waitlang=(\w+)/.exec(document.cookie);
  const wanted = [asked, kept && kept[1], ...navigator.languages].map((tag) => (tag ?? "").split("-")[0]);
  const known = Object.keys(TEXTS);
  if (known.includes(asked)) document.cookie = `waitlang=${asked}; Path=/; Max-Age=31536000; SameSite=Lax`;
  return wanted.find((tag) => known.includes(tag)) ?? document.documentElement.lang;
}

// Screen readers announce every write to a live region, so only changes are written.
export function put(id, text) {
  const changes = at(id).textContent !== text;
  if (changes) at(id).textContent = text;
  return changes;
}

export function putOrHide(id, text) {
  at(id).hidden = !text;
  return put(id, text);
}

// An operator's texts, of which there need not be one in this page's language.
export function putForeign(id, texts) {
  const [lang, text] = texts[language] ? [language, texts[language]] : (Object.entries(texts)[0] ?? []);
  at(id).lang = lang ?? "";
  return putOrHide(id, text ?? "");
}

let spokenTimer = 0;
export function say(text) {
  clearTimeout(spokenTimer);
  put("spoken", text);
  if (text) spokenTimer = setTimeout(put, SPOKEN_MS, "spoken", "");
}

export function isShown(panel) {
  return !at(panel).hidden;
}

export function show(panel, title = null) {
  if (title !== null) document.title = title;
  if (isShown(panel)) return;
  for (const id of PANELS) at(id).hidden = id !== panel;
  say("");
  at(`${panel}-title`).focus();
}

document.documentElement.lang = language;
at("languages").setAttribute("aria-label", T.languages);
for (const [id, text] of Object.entries(T.labels)) at(id).textContent = text;
for (const [code, { name }] of Object.entries(TEXTS)) {
  if (code === language) continue;
  const link = document.createElement("a");
  const query = new URLSearchParams(location.search);
  query.set("lang", code);
  link.href = `?${query}${location.hash}`;
  link.lang = link.hreflang = code;
  link.textContent = name;
  at("languages").append(link);
}
