// Turns what Redis holds into a session and back, with what the store itself adds.

import { within } from "../base/index.js";
import { put, type Tree } from "./merge.js";
import { decode, encode, isThenable, type Serializer } from "./serializer.js";
import type { Value } from "./value.js";

/**
 * The key of a session under which its creation time is stored, in ms since the epoch. Only a store
 * with deadlines writes it; each store keeps it, and no app on this one sees it. On another store
 * it is a key like any other.
 */
const CREATED = "__createdAt";

/** How a session begins that express-session has written as JSON; nothing in its cookie is an object. */
const COOKIE_FIRST = /^\{"cookie":\{[^{}]*\}/;

/** A session as read from Redis. */
export interface SessionRecord {
  /** The session without what the store adds to it. */
  readonly session: Tree;
  /** When it was created, if that is recorded. */
  readonly created: number | undefined;
}

/** Reads and writes what Redis holds for a session. */
export class Records {
  readonly #serializer: Serializer;
  readonly #timeout: number;

  /** @param timeout - how long the serializer may take, in ms */
  constructor(serializer: Serializer, timeout: number) {
    this.#serializer = serializer;
    this.#timeout = timeout;
  }

  /** Reads a session; at once where the serializer answers at once. */
  read(value: Value, sid: string): SessionRecord | Promise<SessionRecord> {
    const session = decode(this.#serializer, value, sid);
    return isThenable(session)
      ? within(session, this.#timeout, "serializer.parse", "ERR_CORRUPT_SESSION").then(recordOf)
      : recordOf(session);
  }

  /**
   * The text of a session, taken from it at once.
   *
   * @param created - its creation time, if that is to be stored
   * @param hidden - stored keys that `session` cannot show; they are kept, unless it has been given
   *   one of that name
   */
  write(session: object, created?: number, hidden?: Tree): Promise<Value> {
    if (created === undefined && hidden === undefined)
      return encode(this.#serializer, session, this.#timeout);
    const whole: Tree = {};
    for (const part of [session as Tree, hidden ?? {}]) {
      for (const key of Object.keys(part)) {
        if (!Object.hasOwn(whole, key)) put(whole, key, part[key]);
      }
    }
    if (created !== undefined) whole[CREATED] = created;
    return encode(this.#serializer, whole, this.#timeout);
  }

  /**
   * Whether two texts can be told apart without parsing them. `false` proves nothing.
   *
   * Only JSON, and only what follows the cookie, whose expiry is new in each text. The same values
   * in another order have the same length and the same sum of characters.
   */
  differ(a: Value, b: Value): boolean {
    if (this.#serializer !== JSON || typeof a !== "string" || typeof b !== "string") return false;
    const cookieOfA = COOKIE_FIRST.exec(a)?.[0].length;
    const cookieOfB = COOKIE_FIRST.exec(b)?.[0].length;
    if (cookieOfA === undefined || cookieOfB === undefined) return false;
    return (
      a.length - cookieOfA !== b.length - cookieOfB ||
      sumFrom(a, cookieOfA) !== sumFrom(b, cookieOfB)
    );
  }
}

function recordOf(session: Tree): SessionRecord {
  if (!Object.hasOwn(session, CREATED)) return { session, created: undefined };
  const created = session[CREATED];
  delete session[CREATED];
  // One in the future would put off the deadline: the session is dated anew, as one without a date.
  const isPast = typeof created === "number" && Number.isFinite(created) && created <= Date.now();
  return { session, created: isPast ? created : undefined };
}

/** The sum of the character codes of a text from `start` on. */
function sumFrom(text: string, start: number): number {
  let sum = 0;
  for (let index = start; index < text.length; index++) sum += text.charCodeAt(index);
  return sum;
}
