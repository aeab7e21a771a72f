// The ring of keys of a store: which one seals, which ones open, and what counts as missing.
import { StoreError } from "../base/index.js";
import { shortSid } from "./keys.js";
import { isForeign, isSealed, keyIdOf, type SealingKey } from "./seal.js";
import type { Value } from "./value.js";

/** Why a stored value counts as missing, although it is there. */
export type Refusal =
  /** It is not sealed, and the time for that is over. */
  | "plaintext"
  /** It was sealed under a key that was revoked. */
  | "revoked";

/** What a ring is made of. */
export interface RingSettings {
  readonly keys: ReadonlyMap<string, SealingKey>;
  /** The id of the key that seals; `null`: sessions are written as they are. */
  readonly write: string | null;
  readonly revoked: ReadonlySet<string>;
  /** Until when what is not sealed is read, in ms since the epoch. */
  readonly plaintextUntil: number;
}

/** Seals and opens what Redis holds, under the keys that it has. */
export class Keyring {
  readonly #settings: RingSettings;
  readonly #writing: SealingKey | undefined;

  constructor(settings: RingSettings) {
    const { keys, write } = settings;
    this.#settings = settings;
    this.#writing = write === null ? undefined : keys.get(write);
  }

  /** What is to be stored of a session, in the type in which its plain form is. */
  seal(plain: Value, sid: string): Value {
    if (this.#writing === undefined) return plain;
    const sealed = this.#writing.seal(plain, sid);
    return typeof plain === "string" ? sealed : Buffer.from(sealed, "latin1");
  }

  /**
   * The plain form of what is stored, in the type of that. Whether it counts as missing is to be
   * asked first, see {@link Keyring.refusalOf}.
   *
   * @throws ERR_UNKNOWN_KEY, ERR_CORRUPT_SESSION
   */
  open(stored: Value, sid: string): Value {
    const { keys, revoked } = this.#settings;
    if (!isSealed(stored)) return stored;
    if (isForeign(stored)) {
      const why = "a newer version of this store has sealed it: update redis-session-store";
      throw unknownKey(sid, why);
    }
    if (keys.size === 0 && revoked.size === 0) {
      throw unknownKey(sid, 'give the store the option "encryption", with the key');
    }
    const keyId = keyIdOf(stored);
    if (keyId === undefined) throw tampered(sid);
    const key = revoked.has(keyId) ? undefined : keys.get(keyId);
    if (key === undefined) throw unknownKey(sid, `add the key "${keyId}" to "encryption.keys"`);
    const plain = key.open(stored, sid);
    if (plain === "other-key") {
      const why = `the bytes of the key "${keyId}", the context or the prefix are others than those under which it was sealed, or it was copied from another session`;
      throw unknownKey(sid, why);
    }
    if (plain === "tampered") throw tampered(sid);
    return typeof stored === "string" ? plain.toString() : plain;
  }

  /** Why a stored value counts as missing; `undefined` where it does not. */
  refusalOf(stored: Value): Refusal | undefined {
    if (!isSealed(stored)) return this.refusalUnder(null);
    return this.#settings.revoked.size > 0 ? this.refusalUnder(keyIdOf(stored) ?? "") : undefined;
  }

  /** Why what a key has sealed counts as missing; `null`: what is not sealed. */
  refusalUnder(keyId: string | null): Refusal | undefined {
    if (keyId === null) return this.#readsPlaintext() ? undefined : "plaintext";
    return this.#settings.revoked.has(keyId) ? "revoked" : undefined;
  }

  /** Whether a stored value is as this ring would write it. */
  isCurrent(stored: Value): boolean {
    return this.#writing === undefined ? !isSealed(stored) : this.#writing.hasSealed(stored);
  }

  #readsPlaintext(): boolean {
    const { plaintextUntil } = this.#settings;
    return plaintextUntil === Number.POSITIVE_INFINITY || Date.now() < plaintextUntil;
  }
}

/** The ring of a store without encryption. It knows what is sealed when it sees it. */
export const NO_KEYS = new Keyring({
  keys: new Map(),
  write: null,
  revoked: new Set(),
  plaintextUntil: Number.POSITIVE_INFINITY,
});

function unknownKey(sid: string, why: string): StoreError {
  const message = `the session ${shortSid(sid)} is sealed and cannot be opened: ${why}`;
  return new StoreError("ERR_UNKNOWN_KEY", message);
}

function tampered(sid: string): StoreError {
  const message = `what Redis holds for ${shortSid(sid)} is not what was sealed: somebody has changed it; destroy it`;
  return new StoreError("ERR_CORRUPT_SESSION", message);
}
