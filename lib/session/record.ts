// Turns what Redis holds into a session and back, with what the store itself adds.

import { within } from "../base/index.js";
import type { Keyring, Refusal } from "./keyring.js";
import { decode, encode, isThenable, type Serializer } from "./serializer.js";
import { put, type Tree } from "./trees.js";
import type { Value } from "./value.js";

/**
 * The key of a session under which its creation time is stored, in ms since the epoch. Only a store
 * with deadlines writes it; each store keeps it, and no app on this one sees it. On another store
 * it is a key like any other.
 */
const CREATED = "__createdAt";

/**
 * The key of a session that holds a text which no other write has. Only a save makes one that comes
 * after one without an answer; from then on it stays. No app sees it.
 */
const MARK = "__mark";

/** How a session begins that express-session has written as JSON. */
const COOKIE_FIRST = '{"cookie":{';

/** A text of a session. */
export interface Text {
  /** As Redis holds it. */
  readonly stored: Value;
  /** The same, as the serializer wrote it. */
  readonly plain: Value;
}

/** A session as read from Redis. */
export interface SessionRecord {
  /** The session without what the store adds to it. */
  readonly session: Tree;
  /** When it was created, if that is recorded. */
  readonly created: number | undefined;
  /** What tells the write apart that stored it, if it was marked. */
  readonly mark: string | undefined;
  /** The text that was read, opened. */
  readonly plain: Value;
}

/** What the store adds to a session when it writes it. */
export interface Additions {
  /** Its creation time, if that is to be stored. */
  readonly created?: number | undefined;
  /**
   * Stored keys that the session object cannot show; they are kept, unless it has been given one of
   * that name.
   */
  readonly hidden?: Tree | undefined;
  readonly mark?: string | undefined;
}

/**
 * Reads and writes what Redis holds for a session. A text has two forms: `stored`, which Redis
 * holds and which is compared there, and `plain`, which the serializer reads and writes.
 */
export class Records {
  readonly #serializer: Serializer;
  readonly #timeout: number;
  #keyring: Keyring;

  /** @param timeout - how long the serializer may take, in ms */
  constructor(serializer: Serializer, timeout: number, keyring: Keyring) {
    this.#serializer = serializer;
    this.#timeout = timeout;
    this.#keyring = keyring;
  }

  /** Another one from the moment on at which other keys are in use. */
  get keys(): object {
    return this.#keyring;
  }

  /** Seals and opens with other keys from now on. */
  use(keyring: Keyring): void {
    this.#keyring = keyring;
  }

  /** Why a stored text counts as missing; `undefined` where it does not. */
  refusalOf(stored: Value): Refusal | undefined {
    return this.#keyring.refusalOf(stored);
  }

  /** Why what a key has sealed counts as missing; `null`: what is not sealed. */
  refusalUnder(keyId: string | null): Refusal | undefined {
    return this.#keyring.refusalUnder(keyId);
  }

  /**
   * The plain form of a stored text that does not count as missing.
   *
   * @throws ERR_UNKNOWN_KEY, ERR_CORRUPT_SESSION
   */
  open(stored: Value, sid: string): Value {
    return this.#keyring.open(stored, sid);
  }

  /** The text that is to be stored for a plain one. */
  toStore(plain: Value, sid: string): Text {
    return { stored: this.#keyring.seal(plain, sid), plain };
  }

  /** A text that Redis holds. One that counts as missing stays as it is. */
  found(stored: Value, sid: string): Text {
    const isRefused = this.refusalOf(stored) !== undefined;
    return { stored, plain: isRefused ? stored : this.open(stored, sid) };
  }

  /** Whether a stored text has the form that {@link Records.toStore} gives now. */
  isCurrent(stored: Value): boolean {
    return this.#keyring.isCurrent(stored);
  }

  /** Reads a stored text; at once where the serializer answers at once. `null`: it counts as missing. */
  read(stored: Value, sid: string): SessionRecord | null | Promise<SessionRecord> {
    return this.refusalOf(stored) === undefined ? this.parse(this.open(stored, sid), sid) : null;
  }

  /** Reads a plain text; at once where the serializer answers at once. */
  parse(plain: Value, sid: string): SessionRecord | Promise<SessionRecord> {
    const session = decode(this.#serializer, plain, sid);
    return isThenable(session)
      ? within(session, this.#timeout, "serializer.parse", "ERR_CORRUPT_SESSION").then((read) =>
          recordOf(read, plain),
        )
      : recordOf(session, plain);
  }

  /** The plain text of a session, taken from it at once; at once where the serializer answers so. */
  write(session: object, { created, hidden, mark }: Additions = NOTHING): Value | Promise<Value> {
    if (created === undefined && hidden === undefined && mark === undefined)
      return encode(this.#serializer, session, this.#timeout);
    const whole: Tree = {};
    for (const part of [session as Tree, hidden ?? {}]) {
      for (const key of Object.keys(part)) {
        if (!Object.hasOwn(whole, key)) put(whole, key, part[key]);
      }
    }
    if (created !== undefined) whole[CREATED] = created;
    if (mark !== undefined) whole[MARK] = mark;
    return encode(this.#serializer, whole, this.#timeout);
  }

  /** A plain text with a mark. */
  async marked(plain: Value, sid: string, mark: string): Promise<Value> {
    const { session, created } = await this.parse(plain, sid);
    return this.write(session, { created, mark });
  }

  /**
   * Whether two texts can be told apart without parsing them. `false` proves nothing.
   *
   * Only JSON, and only what follows the cookie, whose expiry is new in each text. The same values
   * in another order have the same length and the same sum of characters.
   */
  differ(a: Value, b: Value): boolean {
    if (this.#serializer !== JSON || typeof a !== "string" || typeof b !== "string") return false;
    const restOfA = endOfCookie(a);
    const restOfB = endOfCookie(b);
    if (restOfA === -1 || restOfB === -1) return false;
    return a.length - restOfA !== b.length - restOfB || sumFrom(a, restOfA) !== sumFrom(b, restOfB);
  }
}

function recordOf(session: Tree, plain: Value): SessionRecord {
  return { session, created: createdOf(session), mark: markOf(session), plain };
}

function createdOf(session: Tree): number | undefined {
  // Most have none, and `in` says so sooner.
  if (!(CREATED in session && Object.hasOwn(session, CREATED))) return undefined;
  const created = session[CREATED];
  delete session[CREATED];
  // One in the future would put off the deadline: the session is dated anew, as one without a date.
  const isPast = typeof created === "number" && Number.isFinite(created) && created <= Date.now();
  return isPast ? created : undefined;
}

function markOf(session: Tree): string | undefined {
  if (!(MARK in session && Object.hasOwn(session, MARK))) return undefined;
  const mark = session[MARK];
  delete session[MARK];
  return typeof mark === "string" ? mark : undefined;
}

const NOTHING: Additions = {};

/** Where the cookie ends that a text begins with; -1 where it does not, or something in it is an object. */
function endOfCookie(text: string): number {
  if (!text.startsWith(COOKIE_FIRST)) return -1;
  const end = text.indexOf("}", COOKIE_FIRST.length);
  const object = text.indexOf("{", COOKIE_FIRST.length);
  return object === -1 || object > end ? end + 1 : -1;
}

/** The sum of the character codes of a text from `start` on. */
function sumFrom(text: string, start: number): number {
  let sum = 0;
  for (let index = start; index < text.length; index++) sum += text.charCodeAt(index);
  return sum;
}
