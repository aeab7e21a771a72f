// Which sessions a user has, how many they may have, and how they end.
import { isSilence, StoreError, shown } from "../base/index.js";
import { isInDoubt, Later } from "../client/index.js";
import type { Ending } from "../endings/index.js";
import type { UserSettings } from "../options.js";
import {
  handleOf,
  isWellFormed,
  type SessionEntry,
  type Tree,
  type UserSessionEntry,
  type Value,
} from "../session/index.js";
import {
  ANY,
  activeAt,
  Entries,
  type Entry,
  isComing,
  isLeaving,
  type Known,
  MOST_LEAVING,
} from "./entries.js";
import { type Entered, Membership, type Registry } from "./membership.js";
import { Owned, type OwnedContext } from "./owned.js";
import { TAKE } from "./scripts.js";

/** Why a session ends that has to make room for another one of its user. */
const LIMIT: Ending = { reason: "limit" };

/** What an index is owed. */
interface Owed {
  (): Promise<unknown>;
  /** When the session ends that is to be entered, if one is; `null`: never. */
  readonly end?: number | null;
}

/** How often a place that was freed is asked for, while others are faster. */
const ROUNDS = 10;

/** A listing asks for at least so many keys at a time. */
const BATCH = 1000;

/**
 * Which sessions a user has: for each user two sorted sets, last activity and end, in one slot. A
 * session and its user's index may live on different servers, so each of them can be lost without
 * the other. What holds nevertheless:
 *
 * - The index is never trusted. What it lists is looked at, and counts only where the session is
 *   still there and still this user's; everything else is dropped from it. So an entry too many does
 *   no harm, whatever made it: a crash, a session that expired, that another program removed or that
 *   changed its user there.
 * - An entry too few would be a session that nobody finds. Therefore a session is written before its
 *   entry and removed before its entry, and an entry is dropped only if nobody has changed it since
 *   its session was found to be gone. If the process ends in between, the entry of a session that
 *   was written is made up for by its next save or renewal; that of one that was removed is dropped
 *   when it is looked at.
 * - A session that has to make room is marked first (`-inf`), then removed, then forgotten. If the
 *   process ends in between, whoever next writes a session of the user or lists them goes on.
 * - Under `onLimit: "reject"` the place must be taken before the session is written, and a write
 *   without an answer may still come. Such an entry says since when; it lives as long as the session
 *   would, and that its session is not there proves nothing for a few times `timeout`.
 * - A session that changes its user is written first, then put into the one index, then taken out of
 *   the other. In between the other index lists a session which, looked at, is not its user's.
 * - A session is removed only if it still is what was seen of it: it may be another user's by then.
 */
export class UserIndex implements Registry {
  readonly #context: OwnedContext;
  readonly #users: UserSettings;
  readonly #entries: Entries;
  readonly #owned: Owned;
  /**
   * The entries of sessions that are stored, or may be, and that the index does not list yet. Their next
   * renewal would write them, but nobody knows when that comes.
   */
  readonly #owed = new Later<Owed>();
  /** Looks at sessions of which it is not known whose they have become. */
  readonly #looks: Later;
  /** For how long a write may be under way, in ms; and for how long a listing may wait. */
  readonly grace: number;

  constructor(context: OwnedContext, users: UserSettings) {
    const { port, settings } = context;
    this.#context = context;
    this.#users = users;

    this.#owned = new Owned(context, (session) => this.storedUserOf(session));
    this.grace = 3 * settings.timeout;
    this.#looks = new Later(this.grace);
    this.#entries = new Entries(port, settings.prefix, this.grace);
  }

  /** @see Port.isOrdered */
  get isOrdered(): boolean {
    return this.#context.port.isOrdered;
  }

  /**
   * The user of a session that is about to be stored.
   *
   * @throws ERR_INVALID_SESSION where `userId` gives neither a user nor none
   */
  userOf(session: object): string | undefined {
    let user: unknown;
    try {
      user = this.#users.userId(session as Tree);
    } catch (error) {
      const message = "the userId function threw; nothing was stored";
      throw new StoreError("ERR_INVALID_SESSION", message, error);
    }
    return user === undefined || user === null ? undefined : userNamed(user);
  }

  /** The user of a session that is stored already; `undefined` also where that cannot be told. */
  storedUserOf(session: object): string | undefined {
    try {
      return this.userOf(session);
    } catch {
      return undefined;
    }
  }

  /**
   * What is about to happen to a session and so to the index of its user.
   *
   * @param expires - when the session would end, in ms since the epoch; `null`: never; `undefined`:
   *   that is not known yet
   */
  open(sid: string, user: string | undefined, expires?: number | null): Membership {
    return new Membership(this, sid, user, expires);
  }

  /**
   * Asks for a place, if users have to; the entry where one was taken.
   *
   * @throws ERR_TOO_MANY_SESSIONS
   */
  async admit(
    user: string,
    sid: string,
    expires: number | null | undefined,
  ): Promise<Entry | undefined> {
    const { limit, rejects } = this.#users;
    if (!rejects) return undefined;
    const end = expires === undefined ? Date.now() + this.grace : expires;
    for (let round = 1; ; round++) {
      const place = await this.#entries.expect(user, sid, end, limit, true).catch((error) => {
        // Perhaps it was taken; nothing is written now that would need it.
        if (isInDoubt(error))
          this.#owed.add(owedAs(user, sid), () => this.#disownOthers(user, sid));
        throw error;
      });
      if (place.isTaken) return place.isNew ? { sid, activity: place.activity } : undefined;
      const isFreed = round < ROUNDS && (await this.#forgetDead(user, sid, place.excess));
      if (!isFreed) throw tooMany(limit);
    }
  }

  /**
   * Notes that a session was perhaps written, or will be: now if Redis takes it, else when it answers
   * again. Never fails.
   */
  async expect(user: string, sid: string, expires: number | null, isNew: boolean): Promise<void> {
    const as = owedAs(user, sid);
    const until = (end: number | null): Owed =>
      Object.assign(() => this.#entries.expect(user, sid, end, 0, isNew), { end });
    await until(expires)().catch(() => {
      // Of several writes without an answer any may have happened.
      const { end = 0 } = this.#owed.get(as) ?? {};
      const isEndless = end === null || expires === null;
      this.#owed.add(as, until(isEndless ? null : Math.max(end, expires)));
    });
  }

  /**
   * Notes that a session was written or renewed, and makes room for it.
   *
   * @param expires - in ms since the epoch; `null`: never
   */
  async enter(user: string, sid: string, expires: number | null, known: Known): Promise<Entered> {
    const { limit, rejects } = this.#users;
    const most = rejects ? 0 : limit;
    const written = await this.#entries.written(user, sid, expires, most, known);
    const { entry } = written;
    if (entry === undefined) return { entry, isKept: true };
    this.#owed.delete(owedAs(user, sid));
    let { leaving } = written;
    if (written.excess > 0) {
      await this.#forgetDead(user, sid, written.excess);
      // What is gone by now needs no room.
      if (await this.#isOf(user, sid)) leaving = await this.#entries.evict(user, sid, limit);
    }
    let isKept = true;
    // A limit that is new, or lower, may have many leave.
    while (leaving.length > 0) {
      if (leaving.some((entry) => entry.sid === sid)) isKept = false;
      await this.#end(user, [leaving], LIMIT, 0);
      leaving = leaving.length < MOST_LEAVING ? [] : await this.#entries.evict(user, sid, limit);
    }
    return { entry, isKept };
  }

  /** Notes that a session was written or renewed; whether it keeps its place. */
  async written(user: string, sid: string, expires: number | null, known: Known): Promise<boolean> {
    return (await this.enter(user, sid, expires, known)).isKept;
  }

  /** Drops an entry that nobody has changed since. */
  forget(user: string, entry: Entry): Promise<void> {
    return this.#entries.forget(user, [entry]);
  }

  /** Drops an entry that nobody has changed since, unless the session is this user's. */
  async release(user: string, entry: Entry): Promise<void> {
    if (!(await this.#isOf(user, entry.sid))) await this.forget(user, entry);
  }

  /** Drops the entry of a session that is no longer this user's, unless by now it is again. */
  async disown(user: string, sid: string): Promise<void> {
    await this.#entries.forget(user, [{ sid, activity: ANY }]);
    // Whoever has stored it meanwhile may have entered it before the line above.
    const stored = await this.#stored(sid);
    if (stored?.user === user) await this.#entries.written(user, sid, stored.expires, 0, "new");
  }

  /** The same where the session is perhaps this user's. */
  async #disownOthers(user: string, sid: string): Promise<void> {
    if (!(await this.#isOf(user, sid))) await this.disown(user, sid);
  }

  /**
   * Renews a session by one who does not know whose it has become, and notes that; whether it is there
   * and keeps its place.
   */
  async renewing(sid: string, renew: () => Promise<boolean>): Promise<boolean> {
    try {
      return (await renew()) && (await this.#renewed(sid));
    } catch (error) {
      // It is renewed perhaps, or will be, and its entry is not.
      if (isSilence(error)) this.lookLater(sid);
      throw error;
    }
  }

  /** Sees to the entry of a session that was perhaps written or renewed, when that can be seen. */
  lookLater(sid: string): void {
    this.#looks.add(sid, () => this.#renewed(sid));
  }

  async #renewed(sid: string): Promise<boolean> {
    const stored = await this.#stored(sid);
    if (stored === null) return false;
    const { user, expires } = stored;
    return user === undefined || this.written(user, sid, expires, "there");
  }

  async #isOf(user: string, sid: string): Promise<boolean> {
    const { port, settings } = this.#context;
    const value = await port.get(settings.prefix + sid);
    return value !== null && (await this.#owned.ownerOf(sid, value)) === user;
  }

  /** Whose session is there and when it ends; `null`: there is none. */
  async #stored(sid: string): Promise<{ user: string | undefined; expires: number | null } | null> {
    const { port, settings } = this.#context;
    const key = settings.prefix + sid;
    const value = await port.get(key);
    if (value === null) return null;
    const user = await this.#owned.ownerOf(sid, value);
    const [size] = await port.measure([key]);
    if (!size) return null;
    const isEndless = size.left === Number.POSITIVE_INFINITY;
    return { user, expires: isEndless ? null : Date.now() + size.left };
  }

  /** A session's expiry is to be written again: its index may have missed the last time. */
  renewAgain(sid: string): void {
    this.#context.renewals.forget(sid);
  }

  /** Removes a session, whoever's it is; how many there were. */
  async remove(sid: string): Promise<number> {
    const { port, settings } = this.#context;
    const key = settings.prefix + sid;
    let value: number | Value;
    try {
      value = await port.run(TAKE, key, []);
    } catch (error) {
      // No string, and so no session; nothing else is known of it.
      if ((error as StoreError).code === "ERR_CORRUPT_SESSION") return port.remove(key);
      throw error;
    }
    if (typeof value === "number") return 0;
    const user = await this.#owned.ownerOf(sid, value);
    if (user !== undefined) this.#owed.delete(owedAs(user, sid));
    // The session is gone, which was the task. An entry that stays is dropped later.
    if (user !== undefined) await this.disown(user, sid).catch(() => {});
    return 1;
  }

  /** The sessions of a user, the one that was last active first. */
  async list(user: string): Promise<UserSessionEntry[]> {
    const listed: [active: number, entry: SessionEntry][] = [];
    const dead: Entry[] = [];
    const leaving: Entry[] = [];
    for await (const { entries, now } of this.#entries.of(user)) {
      leaving.push(...entries.filter(isLeaving));
      const here = entries.filter((entry) => !isLeaving(entry));
      for await (const group of this.#owned.look(user, [here], this.grace)) {
        for (const seen of group) {
          if (seen.kind === "own") {
            const entry = this.#context.rows.entry(seen);
            listed.push([activeAt(seen.item, now), entry]);
          } else if (seen.kind !== "unreadable" && !isComing(seen.item, now, this.grace)) {
            dead.push(seen.item);
          }
        }
      }
    }
    await this.#entries.forget(user, dead);
    await this.#end(user, [leaving], LIMIT, this.grace);
    listed.sort(([a], [b]) => b - a);
    return listed.map(([active, entry]) => ({
      ...entry,
      lastActive: new Date(active),
    }));
  }

  /** Ends one session of a user; how many there were. */
  async removeOne(user: string, handle: string, ending: Ending): Promise<number> {
    for await (const { entries, now } of this.#entries.of(user)) {
      const { prefix } = this.#context.settings;
      const named = entries.find(({ sid }) => handleOf(prefix, sid) === handle);
      if (named !== undefined) return this.#end(user, [[named]], ending, this.grace, now);
    }
    return 0;
  }

  /**
   * Ends the sessions of a user; how many there were.
   *
   * @param scan - whether also those that no index names, which takes looking at all sessions
   * @throws ERR_UNKNOWN_KEY when the others are ended
   */
  async removeAll(
    user: string,
    except: ReadonlySet<string>,
    scan: boolean,
    ending: Ending,
  ): Promise<number> {
    let removed = 0;
    for await (const { entries, now } of this.#entries.of(user)) {
      const others = entries.filter(({ sid }) => !except.has(sid));
      removed += await this.#end(user, [others], ending, this.grace, now);
    }
    if (!scan) return removed;
    /** What is sealed under a key that this store has not; it may be this user's. */
    const locked = new Map<string, unknown>();
    removed += await this.#owned.end(user, this.#allBut(except), ending, this.grace, {
      onUnreadable: (sid, error) => {
        if ((error as { code?: unknown }).code === "ERR_UNKNOWN_KEY") locked.set(sid, error);
      },
    });
    if (locked.size > 0) throw notAll(removed, locked);
    return removed;
  }

  /** Drops the entries of all sessions that were not active after `time`, which was asked before. */
  clear(time: number): Promise<void> {
    return this.#entries.clear(time);
  }

  async *#allBut(except: ReadonlySet<string>): AsyncGenerator<{ sid: string }[]> {
    const { port, settings } = this.#context;
    const { prefix, scanCount } = settings;
    for await (const keys of port.scan(prefix, Math.max(scanCount, BATCH))) {
      const sids = keys.map((key) => ({ sid: key.slice(prefix.length) }));
      yield sids.filter(({ sid }) => !except.has(sid));
    }
  }

  /**
   * Removes those sessions that are the user's, and then the entries.
   *
   * @param now - when the entries were read; then those whose session may be being written stay
   * @returns how many sessions there were
   */
  #end(
    user: string,
    batches: Entry[][],
    ending: Ending,
    patience: number,
    now?: number,
  ): Promise<number> {
    // What cannot be read is nobody else's.
    return this.#owned.end(user, batches, ending, patience, {
      unreadable: true,
      ended: (entries) => {
        const over = entries.filter(
          (entry) => now === undefined || !isComing(entry, now, this.grace),
        );
        // Stored anew meanwhile, a session has another activity.
        return this.#entries.forget(user, over);
      },
    });
  }

  /**
   * Looks for entries whose sessions are gone, until so many are dropped; whether a place is free for
   * `sid`: others may have freed one as well, or taken it for this very session.
   */
  async #forgetDead(user: string, sid: string, most: number): Promise<boolean> {
    let found = 0;
    let taken = 0;
    for await (const { entries, now } of this.#entries.of(user)) {
      taken += entries.filter((entry) => !isLeaving(entry) && entry.sid !== sid).length;
      const here = entries.filter(
        (entry) => !isLeaving(entry) && !isComing(entry, now, this.grace),
      );
      for await (const group of this.#owned.look(user, [here], 0)) {
        const dead = group
          .filter(({ kind }) => kind === "gone" || kind === "refused")
          .map(({ item }) => item);
        await this.#entries.forget(user, dead);
        found += dead.length;
        if (found >= most) return true;
      }
    }
    return found > 0 || taken < this.#users.limit;
  }
}

/** A session that may be one user's or another's is owed to both. */
function owedAs(user: string, sid: string): string {
  return `${sid.length} ${sid} ${user}`;
}

function notAll(removed: number, locked: ReadonlyMap<string, unknown>): StoreError {
  const [cause] = locked.values();
  const message = `${removed} sessions of the user were ended; ${locked.size} of all sessions are sealed under keys that this store has not, and may be the user's: add the keys to "encryption.keys" and try again`;
  return Object.assign(new StoreError("ERR_UNKNOWN_KEY", message, cause), {
    removed,
    unreadable: locked.size,
  });
}

/**
 * What names a user: text, or a safe integer, which counts as its decimal text.
 *
 * @throws ERR_INVALID_SESSION for everything else
 */
export function userNamed(user: unknown): string {
  if (typeof user === "string" && user !== "" && isWellFormed(user)) return user;
  if (Number.isSafeInteger(user)) return String(user);
  throw new StoreError(
    "ERR_INVALID_SESSION",
    `a user id must be a non-empty string of well-formed Unicode or a safe integer, got ${shown(user)}; have userId return undefined for a session without a user`,
  );
}

function tooMany(limit: number): StoreError {
  const message = `the user has ${limit} sessions already, which is what maxSessionsPerUser allows; nothing was stored: end one of them first, see sessionsOf()`;
  return new StoreError("ERR_TOO_MANY_SESSIONS", message);
}
