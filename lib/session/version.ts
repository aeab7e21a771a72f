// Reads texts as versions of one session that can be compared.
import { comparison } from "./equal.js";
import type { Held, Loaded } from "./loaded.js";
import { sameSession } from "./merge.js";
import type { Records } from "./record.js";
import type { Tree } from "./trees.js";
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
  /** What tells the write apart that stored it, if it was marked. */
  readonly mark: string | undefined;
}

/** Makes the object of a stored session that express-session makes of it. */
export type Inflate = (session: Tree, sid: string) => object;

/** Reads plain texts as versions of the session that an object was loaded from. */
export class Versions {
  readonly #records: Records;
  readonly #inflate: Inflate;

  constructor(records: Records, inflate: Inflate) {
    this.#records = records;
    this.#inflate = inflate;
  }

  /** A text that was stored, or `undefined` for the one before the first. */
  async of(plain: Value | undefined, { sid, inflated }: Loaded): Promise<Version> {
    if (plain === undefined) {
      return { session: {}, hidden: undefined, created: undefined, mark: undefined };
    }
    const { session, created, mark } = await this.#records.parse(plain, sid);
    if (!inflated) return { session, hidden: undefined, created, mark };
    const object = this.#inflate(session, sid);
    const hidden = hiddenKeys(session, object);
    const text = await this.#records.write(object);
    return { session: (await this.#records.parse(text, sid)).session, hidden, created, mark };
  }

  /** The text of the object itself, as it is about to be saved. */
  async own(plain: Value, { sid, hidden }: Loaded): Promise<Tree> {
    const { session } = await this.#records.parse(plain, sid);
    if (hidden === undefined) return session;
    const equal = comparison();
    for (const key of Object.keys(hidden)) {
      // Otherwise the object was given one of that name.
      if (equal(session[key], hidden[key])) delete session[key];
    }
    return session;
  }

  /** Whether the text of the object differs from what it was when last loaded or saved; mostly at once. */
  isChanged({ own, isStale }: Held, mine: Value, loaded: Loaded): boolean | Promise<boolean> {
    if (isStale) return true;
    if (sameValue(own, mine)) return false;
    if (loaded.hidden === undefined && this.#records.differ(own, mine)) return true;
    return this.#differ(own, mine, loaded);
  }

  async #differ(own: Value, mine: Value, loaded: Loaded): Promise<boolean> {
    const { session } = await this.of(own, loaded);
    return !sameSession(session, await this.own(mine, loaded));
  }
}

/** The keys of a stored session that the object which express-session made of it does not show. */
export function hiddenKeys(session: Tree, inflated: object): Tree | undefined {
  let hidden: Tree | undefined;
  const shown = Object.keys(inflated);
  const stored = Object.keys(session);
  for (let place = 0; place < stored.length; place++) {
    const key = stored[place] as string;
    // The usual case: to ask an object about a property takes longer than all else here.
    if (key === shown[place]) continue;
    // A Session has own properties, such as `id`, that no serializer sees.
    if (Object.prototype.propertyIsEnumerable.call(inflated, key)) continue;
    hidden ??= Object.create(null) as Tree;
    hidden[key] = session[key];
  }
  return hidden;
}
