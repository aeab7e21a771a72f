// Reads texts as versions of one session that can be compared.

import { comparison } from "./equal.js";
import type { Loaded } from "./loaded.js";
import { sameSession, type Tree } from "./merge.js";
import type { Records } from "./record.js";
import { sameValue, type Value } from "./value.js";

/**
 * One version of a session in the form in which versions are compared: as the object would look
 * that express-session makes of it, and through the serializer. So a session that nobody changed
 * compares equal, whatever a Cookie adds and whatever JSON does to a Date.
 */
export interface Version {
  readonly session: Tree;
  /** Stored keys that the object cannot show, because a Session has a member of that name. */
  readonly hidden: Tree | undefined;
  /** When the session was created, if that is recorded. */
  readonly created: number | undefined;
}

/** Makes the object of a stored session that express-session makes of it. */
export type Inflate = (session: Tree, sid: string) => object;

/** Reads texts as versions of the session that an object was loaded from. */
export class Versions {
  readonly #records: Records;
  readonly #inflate: Inflate;

  constructor(records: Records, inflate: Inflate) {
    this.#records = records;
    this.#inflate = inflate;
  }

  /** A text that was stored. */
  async stored(value: Value, { sid, inflated }: Loaded): Promise<Version> {
    const { session, created } = await this.#records.read(value, sid);
    if (!inflated) return { session, hidden: undefined, created };
    const object = this.#inflate(session, sid);
    const hidden = hiddenKeys(session, object);
    const text = await this.#records.write(object);
    return { session: (await this.#records.read(text, sid)).session, hidden, created };
  }

  /** The text of the object itself, as it is about to be saved. */
  async own(value: Value, { sid, hidden }: Loaded): Promise<Tree> {
    const { session } = await this.#records.read(value, sid);
    if (hidden === undefined) return session;
    const equal = comparison();
    for (const key of Object.keys(hidden)) {
      // Otherwise the object was given one of that name.
      if (equal(session[key], hidden[key])) delete session[key];
    }
    return session;
  }

  /** Whether the text of the object differs from what it was when last loaded or saved. */
  async isChanged(loaded: Loaded, mine: Value): Promise<boolean> {
    const ancestor = loaded.ancestor as Value;
    if (loaded.undated) return true;
    if (sameValue(ancestor, mine)) return false;
    if (loaded.hidden === undefined && this.#records.differ(ancestor, mine)) return true;
    const { session } = await this.stored(ancestor, loaded);
    return !sameSession(session, await this.own(mine, loaded));
  }
}

/** The keys of a stored session that the object which express-session made of it does not show. */
export function hiddenKeys(session: Tree, inflated: object): Tree | undefined {
  let hidden: Tree | undefined;
  for (const key of Object.keys(session)) {
    // A Session has own properties, such as `id`, that no serializer sees.
    if (Object.prototype.propertyIsEnumerable.call(inflated, key)) continue;
    hidden ??= Object.create(null) as Tree;
    hidden[key] = session[key];
  }
  return hidden;
}
