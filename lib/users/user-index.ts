// Which sessions a user has, how many they may have, and how they end.
import { StoreError, shown } from "../base/index.js";
import type { Port } from "../client/index.js";
import type { Ending, Endings } from "../endings/index.js";
import type { Settings, UserSettings } from "../options.js";
import {
  entryOf,
  handleOf,
  hasDeadline,
  isOver,
  isWellFormed,
  type Records,
  type Renewals,
  type SessionRecord,
  type Tree,
  type UserSessionEntry,
  type Value,
} from "../session/index.js";
import { ANY, COMING, Entries, type Entry, LEAVING } from "./entries.js";
import { Membership, type Registry } from "./membership.js";
import { TAKE } from "./scripts.js";

/** Why a session ends that has to make room for another one of its user. */
const LIMIT: Ending = { reason: "limit" };

/** What the index needs of the store around it. */
export interface UserIndexContext {
  readonly port: Port;
  readonly settings: Settings;
  readonly records: Records;
  readonly renewals: Renewals;
  readonly endings: Endings;
}

/** A session of the user who was asked for. */
interface Found {
  readonly value: Value;
  readonly record: SessionRecord;
}

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
 *   entry and removed before its entry. If the process ends in between, the entry of a session that
 *   was written is made up for by its next save or renewal; that of one that was removed is dropped
 *   when it is looked at.
 * - A session that has to make room is marked first (`-inf`), then removed, then forgotten. If the
 *   process ends in between, whoever next writes a session of the user or lists them goes on.
 * - Under `onLimit: "reject"` the place must be taken before the session is written. It is marked
 *   (`+inf`) until it is; if that never happens, it lapses after a few times `timeout`.
 * - A session that changes its user is written first, then put into the one index, then taken out of
 *   the other. In between the other index lists a session which, looked at, is not its user's.
 */
export class UserIndex implements Registry {
  readonly #port: Port;
  readonly #settings: Settings;
  readonly #records: Records;
  readonly #renewals: Renewals;
  readonly #endings: Endings;
  readonly #users: UserSettings;
  readonly #entries: Entries;
  readonly #dated: boolean;

  constructor(context: UserIndexContext, users: UserSettings) {
    const { port, settings, records, renewals, endings } = context;
    this.#port = port;
    this.#settings = settings;
    this.#records = records;
    this.#renewals = renewals;
    this.#endings = endings;
    this.#users = users;
    this.#entries = new Entries(port, settings.prefix);
    this.#dated = hasDeadline(settings.rules);
  }

  /** @see Port.isOrdered */
  get isOrdered(): boolean {
    return this.#port.isOrdered;
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
    if (user === undefined || user === null) return undefined;
    assertUser(user);
    return user;
  }

  /** The user of a session that is stored already; `undefined` also where that cannot be told. */
  storedUserOf(session: object): string | undefined {
    try {
      return this.userOf(session);
    } catch {
      return undefined;
    }
  }

  /** What is about to happen to a session and so to the index of its user. */
  open(sid: string, user: string | undefined): Membership {
    return new Membership(this, sid, user);
  }

  /** Asks for a place, if users have to; whether one was taken. */
  async admit(user: string, sid: string): Promise<boolean> {
    const { limit, rejects } = this.#users;
    if (!rejects) return false;
    for (let dead: Entry[] = []; ; ) {
      const grace = 3 * this.#settings.timeout;
      const others = await this.#entries.admit(user, sid, limit, grace, dead);
      if (others === undefined) return true;
      dead = await this.#dead(user, others);
      if (dead.length === 0) throw tooMany(limit);
    }
  }

  /**
   * Notes that a session was written or renewed, and makes room for it.
   *
   * @param expires - in ms since the epoch; `null`: never
   * @returns whether the session keeps its place
   */
  async written(
    user: string,
    sid: string,
    expires: number | null,
    isNew: boolean,
  ): Promise<boolean> {
    const { limit, rejects } = this.#users;
    const most = rejects ? 0 : limit;
    let [leaving, others] = await this.#entries.written(user, sid, expires, most, isNew);
    if (others.length > 0) {
      const dead = await this.#dead(user, others);
      leaving = await this.#entries.evict(user, sid, limit, dead);
    }
    await this.#end(
      user,
      leaving.map((one) => [one, LEAVING]),
      LIMIT,
    );
    return !leaving.includes(sid);
  }

  /** Drops an entry; a place that was only taken, if `isComing`. */
  forget(user: string, sid: string, isComing = false): Promise<void> {
    return this.#entries.forget(user, [[sid, isComing ? COMING : ANY]]);
  }

  /** A session's expiry is to be written again: its index may have missed the last time. */
  renewAgain(sid: string): void {
    this.#renewals.forget(sid);
  }

  /** Removes a session, whoever's it is; how many there were. */
  async remove(sid: string): Promise<number> {
    const key = this.#settings.prefix + sid;
    let value: number | Value;
    try {
      value = await this.#port.run(TAKE, key, []);
    } catch (error) {
      // No string, and so no session; nothing else is known of it.
      if ((error as StoreError).code === "ERR_CORRUPT_SESSION") return this.#port.remove(key);
      throw error;
    }
    if (typeof value === "number") return 0;
    const record = await this.#read(sid, value);
    const user = record ? this.storedUserOf(record.session) : undefined;
    // The session is gone, which was the task. An entry that stays is dropped later.
    if (user !== undefined) await this.forget(user, sid).catch(() => {});
    return 1;
  }

  /** The sessions of a user, the one that was last active first. */
  async list(user: string): Promise<UserSessionEntry[]> {
    const listed: (UserSessionEntry & { activity: number })[] = [];
    const dead: Entry[] = [];
    const leaving: Entry[] = [];
    const { prefix } = this.#settings;
    for await (const page of this.#entries.of(user)) {
      const here = page.filter(([, activity]) => activity !== LEAVING);
      leaving.push(...page.filter(([, activity]) => activity === LEAVING));
      const keys = here.map(([sid]) => prefix + sid);
      const [owned, lefts] = await Promise.all([
        this.#look(user, here),
        this.#port.remaining(keys),
      ]);
      for (const [index, [sid, activity]] of here.entries()) {
        const found = owned[index];
        const left = lefts[index] ?? null;
        if (found === null || left === null) {
          if (activity !== COMING) dead.push([sid, activity]);
        } else if (found !== undefined) {
          const entry = entryOf(prefix, { sid, ...found, left });
          listed.push({ ...entry, lastActive: activeAt(activity), activity: scoreOf(activity) });
        }
      }
    }
    await this.#entries.forget(user, dead);
    await this.#end(user, leaving, LIMIT);
    listed.sort((a, b) => b.activity - a.activity);
    return listed.map(({ activity: _, ...entry }) => entry);
  }

  /** Ends one session of a user; how many there were. */
  async removeOne(user: string, handle: string, ending: Ending): Promise<number> {
    for await (const page of this.#entries.of(user)) {
      const named = page.find(([sid]) => handleOf(this.#settings.prefix, sid) === handle);
      if (named !== undefined) return this.#end(user, [named], ending);
    }
    return 0;
  }

  /** Removes the sessions of a user; how many there were. */
  async removeAll(user: string, except: ReadonlySet<string>, ending: Ending): Promise<number> {
    let removed = 0;
    for await (const page of this.#entries.of(user)) {
      const entries = page.filter(([sid]) => !except.has(sid));
      removed += await this.#end(user, entries, ending);
    }
    return removed;
  }

  /** Removes the indexes of all users. */
  clear(): Promise<void> {
    return this.#entries.clear();
  }

  /**
   * Removes those sessions that are the user's, and then all the entries.
   *
   * @returns how many sessions there were
   */
  async #end(user: string, entries: Entry[], ending: Ending): Promise<number> {
    if (entries.length === 0) return 0;
    // What cannot be read, or counts as missing, is nobody else's.
    const found = await this.#look(user, entries, undefined);
    const sids = entries.map(([sid]) => sid).filter((_, index) => found[index] !== null);
    for (const sid of sids) this.#renewals.forget(sid);
    const keys = sids.map((sid) => this.#settings.prefix + sid);
    const removed = await this.#endings.end(sids, ending, () => this.#port.removeMany(keys));
    const gone = new Set(sids);
    const ended = entries.flatMap(([sid, activity]): Entry[] => {
      // A place that is taken has no session yet.
      if (!gone.has(sid)) return activity === COMING ? [] : [[sid, activity]];
      // Its activity may have changed meanwhile; what is leaving may have been stored anew.
      return [[sid, activity === LEAVING ? LEAVING : ANY]];
    });
    await this.#entries.forget(user, ended);
    return removed;
  }

  /** Those entries whose session is gone or not the user's. */
  async #dead(user: string, entries: Entry[]): Promise<Entry[]> {
    const found = await this.#look(user, entries);
    return entries.filter((_, index) => found[index] === null);
  }

  /**
   * The sessions of entries; `null`: gone or not the user's, `undefined`: it cannot be read.
   *
   * @param refused - what stands for one that is there and counts as missing
   */
  async #look(
    user: string,
    entries: Entry[],
    refused: null | undefined = null,
  ): Promise<(Found | null | undefined)[]> {
    const keys = entries.map(([sid]) => this.#settings.prefix + sid);
    const values = await this.#port.getMany(keys);
    return Promise.all(
      values.map(async (value, index) => {
        if (value === null) return null;
        if (this.#records.refusalOf(value) !== undefined) return refused;
        const record = await this.#read((entries[index] as Entry)[0], value);
        if (record === undefined) return undefined;
        const isOwn = record !== null && this.storedUserOf(record.session) === user;
        return isOwn ? { value, record } : null;
      }),
    );
  }

  /** A stored session; `null`: it is over, `undefined`: it cannot be read. */
  async #read(sid: string, value: Value): Promise<SessionRecord | null | undefined> {
    try {
      const record = await this.#records.read(value, sid);
      if (record === null) return null;
      const { session, created } = record;
      const now = Date.now();
      if (this.#dated && isOver(this.#settings.rules, session, sid, created ?? now, now))
        return null;
      return record;
    } catch {
      return undefined;
    }
  }
}

/** Refuses what cannot name a user. */
export function assertUser(user: unknown): asserts user is string {
  if (typeof user === "string" && user !== "" && isWellFormed(user)) return;
  throw new StoreError(
    "ERR_INVALID_SESSION",
    `a user id must be a non-empty string of well-formed Unicode, got ${shown(user)}; have userId return undefined for a session without a user, and a string for every other`,
  );
}

function tooMany(limit: number): StoreError {
  const message = `the user has ${limit} sessions already, which is what maxSessionsPerUser allows; nothing was stored: end one of them first, see sessionsOf()`;
  return new StoreError("ERR_TOO_MANY_SESSIONS", message);
}

function scoreOf(activity: string): number {
  return activity === COMING ? Number.POSITIVE_INFINITY : Number(activity);
}

/** When an entry's session was last active; one that is being written is so now. */
function activeAt(activity: string): Date {
  return activity === COMING ? new Date() : new Date(Number(activity) / 1000);
}
