// What the store knows of the session objects that it handed out, or that it saved first.
import { types } from "node:util";
import { StoreError } from "../base/index.js";
import { type CookieSettings, settingsOf } from "./cookie.js";
import { shortSid } from "./keys.js";
import type { SessionRecord, Text } from "./record.js";
import type { Tree } from "./trees.js";
import { sameValue, type Value } from "./value.js";

/** What Redis should hold for a session, and what its object was when it was loaded or saved. */
export interface Held extends Text {
  /**
   * What the object itself said, as the serializer writes it. After a merge `plain` holds more: what
   * others wrote.
   */
  readonly own: Value;
  /** Whether the text is to be written anew though nothing was changed: it lacks the creation time. */
  readonly isStale: boolean;
}

/** A write that may have been sent and has no answer: it has happened, has not, or happens later. */
export interface Unanswered {
  /** What Redis holds if it has happened, and what the object said then. */
  readonly held: Held;
  /** The plain text that it was to replace; `undefined`: it was to be the first. */
  before: Value | undefined;
  /** What no other write has in its text. */
  readonly mark: string | undefined;
  /** Whose session it makes. */
  readonly user: string | undefined;
  /** Whether a late answer has said that it has happened. */
  hasLanded: boolean;
}

/** What an object said of its cookie when it was handed out or last saved. */
export interface CookieSeen {
  /** `undefined` without a cookie. */
  readonly settings: CookieSettings | undefined;
  readonly expires: unknown;
}

/**
 * What the store knows of one session object under one session id. The object is in one of these
 * states:
 *
 * - new: express-session has generated it and nothing of it was saved. `held` is `undefined`.
 * - held: it was loaded or saved, and Redis should hold what `held` says.
 * - in doubt: besides, one to four writes have no answer. `unanswered` has them, the oldest first.
 */
export interface Loaded {
  /** The knowledge holds under this session id only; under another one the object is a new session. */
  readonly sid: string;
  /** When the session was created, in ms since the epoch; where that is not stored, first seen. */
  readonly created: number;
  /** The creation time as it is to be stored; `undefined` where none is. */
  readonly stamp: number | undefined;
  /** Whether the object is what `createSession` makes, or plain as `get` returns it. */
  readonly inflated: boolean;
  /** Whether a listing gave it: to save it is no use of the session, and keeps the life of the key. */
  readonly isRow: boolean;
  /** Stored keys that the object cannot show, because a Session has a member of that name. */
  readonly hidden: Tree | undefined;
  held: Held | undefined;
  unanswered: readonly Unanswered[];
  /**
   * Whether a write of it got no answer and none was confirmed since: the next one has a mark of its
   * own, so that what the other one expects is never there again.
   */
  isDoubted: boolean;
  /** What tells the text apart that Redis should hold. It stays, so that no marked text recurs. */
  mark: string | undefined;
  cookie: CookieSeen;
  /** Whose session it was when loaded or last saved, where sessions are indexed by user. */
  user: string | undefined;
}

/** A row of `all()`. Its text is not remembered: a million would not fit. */
export interface Listed {
  readonly sid: string;
  /** The creation time that is stored with it, if one is. */
  readonly created: number | undefined;
  readonly mark: string | undefined;
  /** Whether the listing has added the property `id`. */
  readonly hasId: boolean;
  /** The id of the key under which it was sealed; `null`: it was not. */
  readonly keyId: string | null;
}

/** No write without an answer. */
export const NONE: readonly Unanswered[] = [];

/** What a reader knows of a session that it hands out. */
export interface Handed {
  readonly sid: string;
  /** As Redis holds it. */
  readonly stored: Value;
  readonly record: SessionRecord;
  /** Whether creation times are stored. */
  readonly dated: boolean;
  /** In ms since the epoch. */
  readonly now: number;
  readonly user: string | undefined;
  readonly isRow: boolean;
}

/** What is known of a plain session that was just read. Its cookie is taken as it is now. */
export function loadedOf({ sid, stored, record, dated, now, user, isRow }: Handed): Loaded {
  const { session, plain, created: known, mark } = record;
  const created = known ?? now;
  const isStale = dated && known === undefined;
  return {
    sid,
    created,
    stamp: dated ? created : known,
    inflated: false,
    isRow,
    hidden: undefined,
    held: { stored, plain, own: plain, isStale },
    unanswered: NONE,
    isDoubted: false,
    mark,
    cookie: cookieSeen(session),
    user,
  };
}

/** Whether the text holds what the object said, and nothing else. */
export function isWhole({ plain, own }: Held): boolean {
  return sameValue(plain, own);
}

/** What a session object says of its cookie now. */
export function cookieSeen(session: object): CookieSeen {
  const cookie = cookieOf(session);
  return { settings: cookie && settingsOf(cookie), expires: cookie?.expires };
}

/** The cookie of a session, or `undefined` where it has none. */
export function cookieOf(session: object): CookieSettings | undefined {
  const { cookie } = session as { cookie?: unknown };
  return typeof cookie === "object" && cookie !== null ? (cookie as CookieSettings) : undefined;
}

/**
 * Whether the app has set `cookie.expires` of a plain object by hand. (A Cookie keeps its
 * `originalMaxAge` in step with its date, and express-session renews that date itself.)
 */
export function isRedated(loaded: Loaded, expires: unknown): boolean {
  return !loaded.inflated && expires !== loaded.cookie.expires;
}

/**
 * Whether express-session has generated an object. What other frameworks save may have a `save` as
 * well, and be no new session: @fastify/session makes such an object of a stored one in each request.
 */
function isGenerated(session: object): boolean {
  const { save, req } = session as { save?: unknown; req?: { sessionID?: unknown } | null };
  return typeof save === "function" && typeof req?.sessionID === "string";
}

/** The settings of a cookie that was not stored. */
const NO_SETTINGS = settingsOf({});

interface Entry {
  readonly loaded: Loaded | Listed;
  /** The store that knows the object. */
  readonly owner: LoadedSessions;
  /** The same object of another store, or under another session id. */
  readonly other: Entry | undefined;
}

/** Constructs the object that it is given: a class that extends this adds its private members to that. */
function itself(object: object): object {
  return object;
}

/**
 * What is known of an object, as a private member of the object itself: as invisible as in a
 * WeakMap, and without its price, which for the garbage collector alone is that of a JSON.parse.
 */
class Known extends (itself as unknown as new (object: object) => object) {
  #entry: Entry | undefined;

  static of(object: object): Entry | undefined {
    return #entry in object ? object.#entry : undefined;
  }

  static add(object: object, loaded: Loaded | Listed, owner: LoadedSessions): void {
    const known = #entry in object ? object : new Known(object);
    // What was known of it before under the same id, it replaces.
    const last = known.#entry;
    const isSame = last?.loaded.sid === loaded.sid && last.owner === owner;
    known.#entry = { loaded, owner, other: isSame ? last.other : last };
  }
}

/** The Session that was made for a request, as a private member of the request. */
class Request extends (itself as unknown as new (object: object) => object) {
  #session: object | undefined;

  static of(request: unknown): object | undefined {
    return typeof request === "object" && request !== null && #session in request
      ? request.#session
      : undefined;
  }

  static note(request: object, session: object): void {
    const known = #session in request ? request : new Request(request);
    known.#session = session;
  }
}

/** The session objects that the store knows, for as long as the app holds them. */
export class LoadedSessions {
  /** What is known of an object that was loaded or saved under this id, or of what a Proxy stands for. */
  find(session: object, sid: string): Loaded | undefined {
    let known = this.#find(session, sid);
    if (known === undefined) {
      const original = Request.of((session as { req?: unknown }).req);
      // One of the two stands for the other: a new session may be saved as a Proxy first.
      const isSame = types.isProxy(session) || types.isProxy(original);
      if (original !== undefined && isSame) known = this.#find(original, sid);
    }
    return known !== undefined && "held" in known ? known : undefined;
  }

  /**
   * What is known of an object that `all()` listed under this id.
   *
   * @throws ERR_INVALID_SID for an object that a listing gave under another one
   */
  findListed(session: object, sid: string): Listed | undefined {
    const known = this.#find(session, sid);
    if (known !== undefined && "hasId" in known) return known;
    if (this.#isRow(session)) throw rowOfAnother(sid);
    return undefined;
  }

  /** Whether a listing gave this object, under any id. */
  #isRow(session: object): boolean {
    for (let entry = Known.of(session); entry !== undefined; entry = entry.other) {
      const { loaded, owner } = entry;
      if (owner === this && ("hasId" in loaded || loaded.isRow)) return true;
    }
    return false;
  }

  /**
   * From its first save on, a new Session counts as loaded; a plain object that was made by hand
   * does not.
   *
   * @param dated - whether creation times are stored
   */
  adopt(session: object, sid: string, dated: boolean): Loaded | undefined {
    if (!isGenerated(session)) return undefined;
    Request.note((session as unknown as { req: object }).req, session);
    const now = Date.now();
    return this.add(session, {
      sid,
      created: now,
      stamp: dated ? now : undefined,
      inflated: true,
      isRow: false,
      hidden: undefined,
      held: undefined,
      unanswered: NONE,
      isDoubted: false,
      mark: undefined,
      cookie: { settings: undefined, expires: cookieOf(session)?.expires },
      user: undefined,
    });
  }

  /** Adds the Session that express-session has made of a plain one, for a request. */
  addInflated(session: object, plain: Loaded, hidden: Tree | undefined, request: object): void {
    Request.note(request, session);
    const { expires, settings = NO_SETTINGS } = plain.cookie;
    this.add(session, {
      sid: plain.sid,
      created: plain.created,
      stamp: plain.stamp,
      inflated: true,
      isRow: false,
      hidden,
      held: plain.held,
      unanswered: plain.unanswered,
      isDoubted: plain.isDoubted,
      mark: plain.mark,
      cookie: { settings, expires },
      user: plain.user,
    });
  }

  add(session: object, loaded: Loaded): Loaded {
    Known.add(session, loaded, this);
    return loaded;
  }

  addListed(session: object, listed: Listed): void {
    Known.add(session, listed, this);
  }

  #find(session: object, sid: string): Loaded | Listed | undefined {
    let entry = Known.of(session);
    while (entry !== undefined && (entry.loaded.sid !== sid || entry.owner !== this)) {
      entry = entry.other;
    }
    return entry?.loaded;
  }
}

function rowOfAnother(sid: string): StoreError {
  const message = `this session was listed under another id than ${shortSid(sid)}; nothing was stored: give a copy of it, { ...session }, if it is to be a new session`;
  return new StoreError("ERR_INVALID_SID", message);
}
