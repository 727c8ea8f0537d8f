// Passes, signed ways back and marks, by WebCrypto. Pure but for a cache of what was verified.

const TOKEN_MAX = 2_560;
const RETURN_S = 24 * 3_600;
const ADDRESS_MAX = 2_000;

// Verified passes kept, some 1 KiB each; an edge worker has little memory.
const KEPT_MAX = 2_000;

const FORM = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{86})$/;

const encoder = new TextEncoder();

// Reads the queue's key set; keys of kinds that we do not know are ignored.
export async function parseKeys(document) {
  if (!Array.isArray(document?.keys)) throw new Error('a key set is {"keys": […]}');
  const keys = new Map();
  for (const { kty, crv, kid, x } of document.keys) {
    if (kty !== "OKP" || crv !== "Ed25519") continue;
    const jwk = { kty, crv, x };
    keys.set(kid, await crypto.subtle.importKey("jwk", jwk, { name: "Ed25519" }, false, ["verify"]));
  }
  return { keys, verified: new Map() };
}

// What a pass proves, expired or not: {room, visitor, place, …}; or {refusal}: why it proves nothing.
export async function genuine(keySet, token) {
  const kept = keySet.verified.get(token);
  if (kept) return kept;
  const found = await verify(keySet.keys, token);
  if (!found.refusal) {
    if (keySet.verified.size >= KEPT_MAX) {
      keySet.verified.delete(keySet.verified.keys().next().value);
    }
    keySet.verified.set(token, found);
  }
  return found;
}

// Source: RFC 8725: one algorithm, an explicit type, no header that chooses either.
async function verify(keys, token) {
  const parts = token.length <= TOKEN_MAX ? FORM.exec(token) : null;
  if (!parts) return { refusal: "malformed" };
  let header, claims;
  try {
    header = JSON.parse(text(parts[1]));
    claims = JSON.parse(text(parts[2]));
  } catch {
    return { refusal: "malformed" };
  }
  const { alg, typ, kid, crit } = header ?? {};
  if (alg !== "EdDSA" || typ !== "waitline-pass+jwt" || typeof kid !== "string" || crit) {
    return { refusal: "malformed" };
  }
  const key = keys.get(kid);
  if (!key) return { refusal: "key-unknown" };
  const signed = encoder.encode(token.slice(0, token.lastIndexOf(".")));
  if (!(await crypto.subtle.verify({ name: "Ed25519" }, key, bytes(parts[3]), signed))) {
    return { refusal: "forged" };
  }
  return proven(claims, token);
}

function proven(claims, token) {
  const { iss, aud, sub, place, joined, iat, exp } = claims ?? {};
  const texts = [aud, sub].every((one) => typeof one === "string");
  const numbers = [place, joined, iat, exp].every(Number.isSafeInteger);
  if (iss !== "waitline" || !texts || !numbers || place < 1 || joined < 0) {
    return { refusal: "malformed" };
  }
  return { room: aud, visitor: sub, place, joinedMs: joined, issuedS: iat, expiresS: exp, token };
}

// The value of `return=` for the waiting page; empty if the address is too long.
export async function signReturn(key, address, room, nowS) {
  let kept = address;
  if (kept.length > ADDRESS_MAX) kept = kept.split("?")[0];
  if (kept.length > ADDRESS_MAX) return "";
  const fields = JSON.stringify({ u: kept, r: room, e: nowS + RETURN_S });
  const encoded = base64url(encoder.encode(fields));
  return `${encoded}.${await mac(key, encoded)}`;
}

// The mark that makes a pass valid in one browser alone, the one that has the secret.
export function bind(key, token, secret) {
  return mac(key, `bound\n${token}\n${secret}`);
}

// Whether two texts are the same, in a time that does not depend on where they differ.
export function same(one, other) {
  let difference = one.length ^ other.length;
  for (let at = 0; at < one.length; at += 1) {
    difference |= one.charCodeAt(at) ^ other.charCodeAt(at % Math.max(1, other.length));
  }
  return difference === 0;
}

// The name of a room in the name of its cookie.
export async function roomDigest(room) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", encoder.encode(room)));
  return Array.from(digest.slice(0, 8), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// A secret for a browser: 22 url-safe characters.
export function newSecret() {
  return base64url(crypto.getRandomValues(new Uint8Array(16)));
}

export function importSiteKey(secret) {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  return crypto.subtle.importKey("raw", encoder.encode(secret), algorithm, false, ["sign"]);
}

async function mac(key, message) {
  return base64url(new Uint8Array(await crypto.subtle.sign("HMAC", key, encoder.encode(message))));
}

function base64url(data) {
  return btoa(String.fromCharCode(...data))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replace(/=+$/, "");
}

function bytes(encoded) {
  const binary = atob(encoded.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (char) => char.charCodeAt(0));
}

function text(encoded) {
  return new TextDecoder("utf-8", { fatal: true }).decode(bytes(encoded));
}
