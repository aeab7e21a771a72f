// Writes __tests__/session/seal-vectors.json: sealed texts, made by Web Crypto and from the
// description in docs/security.md alone. It shares no line with lib.
//
//   node scripts/seal-vectors.js

import { writeFileSync } from "node:fs";

const { subtle } = globalThis.crypto;
const utf8 = (/** @type {string} */ text) => new TextEncoder().encode(text);
const base64url = (/** @type {Uint8Array} */ bytes) =>
  btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");

/** @type {(...parts: Uint8Array[]) => Uint8Array<ArrayBuffer>} */
const join = (...parts) => Uint8Array.from(parts.flatMap((part) => [...part]));

/** @type {(fields: string[]) => Uint8Array<ArrayBuffer>} each field behind its length */
const binding = (fields) =>
  join(
    ...fields.flatMap((text) => {
      const { length } = utf8(text);
      return [Uint8Array.of(length >>> 24, length >>> 16, length >>> 8, length), utf8(text)];
    }),
  );

/** @type {(first: number, length: number) => Uint8Array<ArrayBuffer>} */
const counting = (first, length) => Uint8Array.from({ length }, (_, index) => first + index);

/**
 * @param {{ keyId: string, context: string, prefix: string, sid: string, plain: string }} given
 * @param {number} number
 */
async function vector({ keyId, context, prefix, sid, plain }, number) {
  const master = counting(number * 16, 32);
  const nonce = counting(200 + number, 12);
  const bound = binding(["redis-session-store/session", "1", keyId, context, prefix, sid]);
  const hmac = { name: "HMAC", hash: "SHA-512" };
  const signing = await subtle.importKey("raw", master, hmac, false, ["sign"]);
  const derived = new Uint8Array(await subtle.sign("HMAC", signing, bound));
  const key = await subtle.importKey("raw", derived.slice(0, 32), "AES-GCM", false, ["encrypt"]);
  const gcm = { name: "AES-GCM", iv: nonce, additionalData: bound, tagLength: 128 };
  // Web Crypto puts the tag behind the ciphertext.
  const sealed = new Uint8Array(await subtle.encrypt(gcm, key, utf8(plain)));
  const text = base64url(join(nonce, derived.slice(32), sealed));
  return {
    ...{ keyId, context, prefix, sid, plain },
    key: btoa(String.fromCharCode(...master)),
    nonce: base64url(nonce),
    sealed: `rss1.${keyId}.${text}`,
  };
}

const cookie = '"cookie":{"originalMaxAge":3600000,"expires":"2026-01-01T00:00:00.000Z"}';
const given = [
  { keyId: "a", context: "", prefix: "sess:", sid: "sid", plain: `{${cookie},"user":{"id":1}}` },
  { keyId: "2026-01", context: "", prefix: "sess:", sid: "sid", plain: "" },
  { keyId: "constructor", context: "production", prefix: "app[1]:", sid: "päß-€-😀", plain: "{}" },
  { keyId: "_", context: "a", prefix: "b", sid: "c", plain: '{"name":"Zoë 😀"}' },
  // The same characters, cut elsewhere: other bindings.
  { keyId: "_", context: "", prefix: "ab", sid: "c", plain: '{"name":"Zoë 😀"}' },
  { keyId: "_", context: "ab", prefix: "", sid: "c", plain: '{"name":"Zoë 😀"}' },
];

const vectors = await Promise.all(given.map(vector));
const file = new URL("../__tests__/session/seal-vectors.json", import.meta.url);
writeFileSync(file, `${JSON.stringify(vectors, null, 2)}\n`);
