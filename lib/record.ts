import type { Value } from "./client/port.js";
import { put, type Tree } from "./merge.js";
import { decode, encode, isThenable, type Serializer } from "./serializer.js";

/**
 * The key of a session under which its creation time is stored, in ms since the epoch. Only
 * sessions with a deadline have it. Apps on this store never see it; on another one it is a key
 * like any other, which the session keeps.
 */
const CREATED = "__createdAt";

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
  readonly #dated: boolean;

  /** @param dated - whether creation times are kept */
  constructor(serializer: Serializer, dated: boolean) {
    this.#serializer = serializer;
    this.#dated = dated;
  }

  /** Reads a session; at once where the serializer answers at once. */
  read(value: Value, sid: string): SessionRecord | Promise<SessionRecord> {
    const session = decode(this.#serializer, value, sid);
    return isThenable(session) ? session.then((read) => this.#record(read)) : this.#record(session);
  }

  #record(session: Tree): SessionRecord {
    if (!this.#dated || !Object.hasOwn(session, CREATED)) return { session, created: undefined };
    const created = session[CREATED];
    delete session[CREATED];
    const known = typeof created === "number" && Number.isFinite(created);
    return { session, created: known ? created : undefined };
  }

  /**
   * The text of a session, taken from it at once.
   *
   * @param hidden - stored keys that `session` cannot show; they are kept
   */
  write(session: object, created: number, hidden: Tree | undefined): Promise<Value> {
    if (!this.#dated && hidden === undefined) return encode(this.#serializer, session);
    const whole: Tree = {};
    for (const part of [session as Tree, hidden ?? {}]) {
      for (const key of Object.keys(part)) put(whole, key, part[key]);
    }
    if (this.#dated) whole[CREATED] = created;
    return encode(this.#serializer, whole);
  }
}
