// What the store knows of the session objects that it handed out.

import { type CookieSettings, settingsOf } from "./cookie.js";
import type { Tree } from "./merge.js";
import type { Value } from "./value.js";

/** What the store knows of a session object that it handed out, or that it saved first. */
export interface Loaded {
  /** The knowledge holds under this session id only; under another one the object is a new session. */
  readonly sid: string;
  /** The exact text that Redis should hold; `undefined` until the first save of a new session. */
  expected: Value | undefined;
  /**
   * The text of this object itself when it was last loaded or saved. After a merge it is not
   * `expected`: that also holds what others wrote.
   */
  ancestor: Value | undefined;
  /** When the session was created, in ms since the epoch; where that is not stored, first seen. */
  readonly created: number;
  /** The creation time as it is to be stored; `undefined` where none is. */
  readonly stamp: number | undefined;
  /** Whether a creation time is needed and not stored yet. */
  undated: boolean;
  /** Whose session it was when loaded or last saved, where sessions are indexed by user. */
  user: string | undefined;
  /** Whether the object is what `createSession` makes, or plain as `get` returns it. */
  readonly inflated: boolean;
  /** The cookie's settings when loaded or last saved; `undefined` without a cookie. */
  cookie: CookieSettings | undefined;
  /** `cookie.expires` as the object had it when it was handed out or last saved. */
  expires: unknown;
  /** Stored keys that the object cannot show, because a Session has a member of that name. */
  readonly hidden: Tree | undefined;
}

/**
 * Whether the app has set `cookie.expires` of a plain object by hand. (A Cookie keeps its
 * `originalMaxAge` in step with its date, and express-session renews that date itself.)
 */
export function isRedated(loaded: Loaded, session: object): boolean {
  return !loaded.inflated && expiresOf(session) !== loaded.expires;
}

/** `cookie.expires`, whatever stands there. */
export function expiresOf(session: object): unknown {
  return (session as { cookie?: { expires?: unknown } | null }).cookie?.expires;
}

/** The settings of a cookie that was not stored. */
const NO_SETTINGS = settingsOf({});

interface Entry extends Loaded {
  /** The store that knows the object. */
  owner?: LoadedSessions;
  /** The same object of another store, or under another session id. */
  other?: Entry | undefined;
}

/** Constructs the object that it is given: a class that extends this adds its private members to that. */
function itself(object: object): object {
  return object;
}

/**
 * What is known of a session object, as a private member of the object itself: as invisible as in a
 * WeakMap, and without its price, which for the garbage collector alone is that of a JSON.parse.
 */
class Known extends (itself as unknown as new (object: object) => object) {
  #entry: Entry | undefined;

  static of(session: object): Entry | undefined {
    return #entry in session ? session.#entry : undefined;
  }

  static add(session: object, entry: Entry): void {
    const known = #entry in session ? session : new Known(session);
    // What was known of it before under the same id, it replaces.
    const last = known.#entry;
    entry.other = last?.sid === entry.sid && last.owner === entry.owner ? last.other : last;
    known.#entry = entry;
  }
}

/** The session objects that the store knows, for as long as the app holds them. */
export class LoadedSessions {
  find(session: object, sid: string): Loaded | undefined {
    let entry = Known.of(session);
    while (entry !== undefined && (entry.sid !== sid || entry.owner !== this)) entry = entry.other;
    return entry;
  }

  /**
   * From its first save on, a new Session counts as loaded; a plain object that was made by hand
   * does not.
   *
   * @param dated - whether creation times are stored
   */
  adopt(session: object, sid: string, dated: boolean): Loaded | undefined {
    if (typeof (session as { save?: unknown }).save !== "function") return undefined;
    const now = Date.now();
    return this.add(session, {
      sid,
      expected: undefined,
      ancestor: undefined,
      created: now,
      stamp: dated ? now : undefined,
      undated: false,
      user: undefined,
      inflated: true,
      cookie: undefined,
      expires: expiresOf(session),
      hidden: undefined,
    });
  }

  /** Adds the Session that express-session has made of a plain one. */
  addInflated(session: object, plain: Loaded, hidden: Tree | undefined): void {
    const cookie = plain.cookie ?? NO_SETTINGS;
    this.add(session, { ...plain, inflated: true, cookie, hidden });
  }

  add(session: object, loaded: Loaded): Loaded {
    const entry: Entry = loaded;
    entry.owner = this;
    Known.add(session, entry);
    return entry;
  }
}
