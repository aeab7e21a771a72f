// The option `encryption`: what it means, and its check.
import { createSecretKey, KeyObject } from "node:crypto";
import { StoreError } from "../base/index.js";
import { Keyring, NO_KEYS } from "./keyring.js";
import { isKeyId, SealingKey } from "./seal.js";

/** How sessions are encrypted in Redis. No error and no inspection of the store shows a key. */
export interface EncryptionOptions {
  /**
   * The keys by their ids (1 to 32 of the characters `A-Z a-z 0-9 _ -`). A key is 32 random bytes:
   * a Buffer, a KeyObject, or base64 with its padding. No passphrase, and not the secret of cookies.
   */
  readonly keys: Readonly<Record<string, Uint8Array | KeyObject | string>>;

  /**
   * The id of the key that seals. Every server has to have it in `keys` before one of them writes
   * under it. `null`: sealed sessions are read and plain ones written, which is the first phase of a
   * rollout and the last of going back.
   */
  readonly write: string | null;

  /**
   * Until when sessions are read that are not sealed. Until then nothing is authenticated: whoever
   * can write to Redis can write such a session. `null`: never. Required where `write` names a key;
   * where that is `null` plain sessions are read in any case.
   */
  readonly plaintextUntil?: Date | null | undefined;

  /**
   * Ids of keys whose sessions count as missing. Revoke a key together with a new `write`, so that
   * no session which was forged under the old one is sealed anew.
   * @default []
   */
  readonly revoked?: readonly string[] | undefined;

  /**
   * Separates environments that share keys and a prefix: what was sealed in one does not open in
   * another. All servers of an app have the same.
   * @default ""
   */
  readonly context?: string | undefined;
}

/** The names of what `encryption` takes. */
const NAMES: ReadonlySet<string> = new Set<keyof EncryptionOptions>([
  "keys",
  "write",
  "plaintextUntil",
  "revoked",
  "context",
]);

/**
 * The ring of the option `encryption`. Its errors show nothing of what was given: a key may stand
 * in the wrong place.
 *
 * @throws ERR_INVALID_OPTION
 */
export function keyringOf(
  option: EncryptionOptions | (() => EncryptionOptions) | undefined,
  prefix: string,
): Keyring {
  if (option === undefined) return NO_KEYS;
  const given: unknown = typeof option === "function" ? asked(option) : option;
  if (typeof (given as { then?: unknown } | null)?.then === "function") {
    throw refused("a function must return at once: load the keys first, then call reloadKeys()");
  }
  if (!isRecord(given)) throw refused("it must be an object, or a function that returns one");
  if (Object.keys(given).some((name) => !NAMES.has(name))) {
    throw refused(`it takes ${[...NAMES].join(", ")} and nothing else`);
  }
  const context = given.context ?? "";
  if (typeof context !== "string") throw refused('"context" must be a string');
  const keys = keysOf(given.keys, context, prefix);
  const revoked = revokedOf(given.revoked ?? []);
  const write = writeOf(given.write, keys, revoked);
  return new Keyring({ keys, write, revoked, plaintextUntil: plaintextUntilOf(given, write) });
}

function asked(option: () => EncryptionOptions): EncryptionOptions {
  try {
    return option();
  } catch (error) {
    throw refused("the function threw an error", error);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return !(value instanceof Uint8Array) && !(value instanceof KeyObject);
}

function keysOf(given: unknown, context: string, prefix: string): Map<string, SealingKey> {
  if (!isRecord(given)) throw refused('"keys" must be an object of keys by their ids');
  const keys = new Map<string, SealingKey>();
  for (const [index, [id, value]] of Object.entries(given).entries()) {
    if (!isKeyId(id)) {
      const rule = "1 to 32 of the characters A-Z a-z 0-9 _ -";
      throw refused(`the id of a key must be ${rule}; that of number ${index + 1} is not`);
    }
    const secret = secretOf(value);
    if (secret === undefined) {
      const forms = "a Buffer, a secret KeyObject, or base64 of 44 characters";
      throw refused(
        `the key "${id}" must be 32 random bytes: ${forms}; no passphrase. To make one: openssl rand -base64 32`,
      );
    }
    keys.set(id, new SealingKey(id, secret, context, prefix));
  }
  return keys;
}

function secretOf(value: unknown): KeyObject | undefined {
  if (value instanceof KeyObject) {
    return value.type === "secret" && value.symmetricKeySize === 32 ? value : undefined;
  }
  if (typeof value === "string") {
    const bytes = Buffer.from(value, "base64");
    const isCanonical = bytes.length === 32 && bytes.toString("base64") === value;
    return isCanonical ? createSecretKey(bytes) : undefined;
  }
  return value instanceof Uint8Array && value.length === 32 ? createSecretKey(value) : undefined;
}

function revokedOf(given: unknown): Set<string> {
  if (!Array.isArray(given) || !given.every(isKeyId)) {
    throw refused('"revoked" must be an array of ids of keys');
  }
  return new Set(given);
}

function writeOf(
  write: unknown,
  keys: ReadonlyMap<string, SealingKey>,
  revoked: ReadonlySet<string>,
): string | null {
  if (write === null) return null;
  if (typeof write !== "string" || !keys.has(write)) {
    const ids = [...keys.keys()].map((id) => `"${id}"`).join(", ") || "none";
    throw refused(`"write" must be null or the id of one of the keys, which are: ${ids}`);
  }
  if (revoked.has(write)) throw refused(`"write" names the key "${write}", which is revoked`);
  return write;
}

function plaintextUntilOf({ plaintextUntil }: Record<string, unknown>, write: string | null) {
  const isDate = plaintextUntil instanceof Date && !Number.isNaN(plaintextUntil.getTime());
  const isGiven = plaintextUntil !== undefined;
  if ((isGiven || write !== null) && plaintextUntil !== null && !isDate) {
    const why = "until when are sessions read that are not sealed?";
    throw refused(`"plaintextUntil" must be a Date, or null for never: ${why}`);
  }
  if (write === null) return Number.POSITIVE_INFINITY;
  return isDate ? plaintextUntil.getTime() : Number.NEGATIVE_INFINITY;
}

function refused(why: string, cause?: unknown): StoreError {
  return new StoreError("ERR_INVALID_OPTION", `the option "encryption": ${why}`, cause);
}
