// Seals a text for one session under one key, and opens what was sealed.
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  type KeyObject,
  randomBytes,
  timingSafeEqual,
} from "node:crypto";
import { LRUCache } from "lru-cache";
import type { Value } from "./value.js";

/*
 * The form, version 1:
 *
 *   rss1.<key id>.<base64url of nonce (12 bytes), commitment (32), ciphertext, tag (16)>
 *
 * Binding: the fields "redis-session-store/session", "1", key id, context, prefix and sid, in UTF-8,
 * each behind its length in bytes as 32 bits, big-endian.
 *
 * HMAC-SHA-512 of the binding under the master key gives the AES-256 key of this session (32 bytes)
 * and the commitment (32). The nonce is random, which is enough: a key seals one session only. The
 * binding is the additional data of GCM. The commitment says which key was used before anything is
 * decrypted; GCM alone would let one text open under two keys.
 */

const VERSION = "1";
const LABEL = "redis-session-store/session";
const CIPHER = "aes-256-gcm";
const NONCE = 12;
const COMMITMENT = 32;
const TAG = 16;

/** How many characters at the end of a sealed text hold its tag. */
export const TAG_LENGTH = Math.ceil((TAG * 4) / 3);

/** What the id of a key may be. */
const KEY_ID = /^[A-Za-z0-9_-]{1,32}$/;

/** How everything begins that some version of this store has sealed. */
const SEALED = /^rss(\d{1,9})\./;

/** How everything begins that this version seals. */
const HEAD = `rss${VERSION}.`;

/** How long the part before the base64url is at most. */
const LONGEST_HEAD = HEAD.length + 32 + 1;

/** The first character of what is sealed; no JSON begins with it. */
const R = 0x72;

/** Whether a text can be the id of a key. */
export function isKeyId(id: unknown): id is string {
  return typeof id === "string" && KEY_ID.test(id);
}

/** Whether a stored value is sealed, by any version; by its form, whatever keys there are. */
export function isSealed(stored: Value): boolean {
  return versionOf(stored) !== undefined;
}

/** Whether a sealed value has a form that this version does not know. */
export function isForeign(stored: Value): boolean {
  return versionOf(stored) !== VERSION;
}

function versionOf(stored: Value): string | undefined {
  if (typeof stored === "string") {
    return stored.charCodeAt(0) === R ? SEALED.exec(stored)?.[1] : undefined;
  }
  return stored[0] === R ? SEALED.exec(stored.toString("latin1", 0, 16))?.[1] : undefined;
}

/** The id of the key under which a value was sealed, by what it says; `undefined` where it says none. */
export function keyIdOf(stored: Value): string | undefined {
  const head = asText(stored, LONGEST_HEAD);
  const dot = head.indexOf(".", HEAD.length);
  const id = head.slice(HEAD.length, dot);
  return dot > 0 && head.startsWith(HEAD) && isKeyId(id) ? id : undefined;
}

/** Nonce, commitment, ciphertext and tag; `undefined` where the value has not exactly the form. */
function bytesOf(stored: Value, head: string): Buffer | undefined {
  const text = asText(stored).slice(head.length);
  const bytes = Buffer.from(text, "base64url");
  // Many texts decode to the same bytes, and one of them is what was written.
  const isWhole = bytes.length >= NONCE + COMMITMENT + TAG && bytes.toString("base64url") === text;
  return isWhole ? bytes : undefined;
}

function asText(stored: Value, length?: number): string {
  return typeof stored === "string"
    ? stored.slice(0, length)
    : stored.toString("latin1", 0, length);
}

/** Why a text does not open. */
export type Failure =
  /** It was sealed under another key, or for another session. */
  | "other-key"
  /** It is not what was sealed. */
  | "tampered";

/** What a key makes for one session. */
interface Derived {
  readonly key: Buffer;
  readonly commitment: Buffer;
  readonly binding: Buffer;
}

/** For so many sessions a key remembers what it has derived; half a kilobyte each. */
const REMEMBERED = 5000;

/** A key that seals the sessions of one prefix, in one context. */
export class SealingKey {
  readonly #secret: KeyObject;
  /** The binding, without the session id. */
  readonly #place: Buffer;
  readonly #head: string;
  /** To derive these takes as long as the decryption, and sessions that are in use come again. */
  readonly #derived = new LRUCache<string, Derived>({ max: REMEMBERED });

  /** @param secret - 32 bytes */
  constructor(id: string, secret: KeyObject, context: string, prefix: string) {
    this.#secret = secret;
    this.#place = Buffer.concat([LABEL, VERSION, id, context, prefix].map(field));
    this.#head = `${HEAD}${id}.`;
  }

  /** @param nonce - random, and never the same again */
  seal(plain: Value, sid: string, nonce: Buffer = randomBytes(NONCE)): string {
    const { key, commitment, binding } = this.#derivedFor(sid);
    const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG });
    cipher.setAAD(binding);
    const text = typeof plain === "string" ? cipher.update(plain, "utf8") : cipher.update(plain);
    cipher.final();
    const parts = [nonce, commitment, text, cipher.getAuthTag()];
    return this.#head + Buffer.concat(parts).toString("base64url");
  }

  /** @param stored - sealed under a key of this id, by what it says */
  open(stored: Value, sid: string): Buffer | Failure {
    const bytes = bytesOf(stored, this.#head);
    if (bytes === undefined) return "tampered";
    const { key, commitment, binding } = this.#derivedFor(sid);
    const said = bytes.subarray(NONCE, NONCE + COMMITMENT);
    if (!timingSafeEqual(said, commitment)) return "other-key";
    const nonce = bytes.subarray(0, NONCE);
    const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG });
    decipher.setAAD(binding);
    decipher.setAuthTag(bytes.subarray(-TAG));
    const plain = decipher.update(bytes.subarray(NONCE + COMMITMENT, -TAG));
    try {
      decipher.final();
    } catch {
      return "tampered";
    }
    return plain;
  }

  /** Whether a stored value says that it was sealed under a key of this id. */
  hasSealed(stored: Value): boolean {
    return asText(stored, this.#head.length) === this.#head;
  }

  #derivedFor(sid: string): Derived {
    const known = this.#derived.get(sid);
    if (known !== undefined) return known;
    const own = field(sid);
    // Memory of its own: a slice of the pool would keep all of that.
    const binding = Buffer.allocUnsafeSlow(this.#place.length + own.length);
    this.#place.copy(binding);
    own.copy(binding, this.#place.length);
    const bytes = createHmac("sha512", this.#secret).update(binding).digest();
    const derived = { key: bytes.subarray(0, 32), commitment: bytes.subarray(32), binding };
    this.#derived.set(sid, derived);
    return derived;
  }
}

/** A text behind its length, so that no two lists of texts are the same bytes. */
function field(text: string): Buffer {
  const length = Buffer.byteLength(text);
  const bytes = Buffer.allocUnsafe(4 + length);
  bytes.writeUInt32BE(length);
  bytes.write(text, 4);
  return bytes;
}
