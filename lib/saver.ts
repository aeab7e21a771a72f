import { performance } from "node:perf_hooks";
import { type Port, sameValue, type Value } from "./client/port.js";
import { Conflicts } from "./conflict.js";
import { type CookieSettings, settingsOf } from "./cookie.js";
import { StoreError } from "./errors.js";
import { hasDeadline, type Lifetime, lifetime, refreshExpires } from "./expiry.js";
import { shortSid } from "./keys.js";
import { expiresOf, isRedated, type Loaded } from "./loaded.js";
import type { Membership } from "./membership.js";
import type { MergeReport } from "./merge.js";
import type { Settings } from "./options.js";
import type { Records } from "./record.js";
import type { Renewals } from "./renewals.js";
import { COMPARE_AND_RENEW, COMPARE_AND_SET } from "./scripts.js";
import { type Turn, Turns } from "./turns.js";
import type { UserIndex } from "./user-index.js";
import { type Inflate, Versions } from "./version.js";

/**
 * What became of a save: `"OK"` written, `"MERGED"` written together with what another request had
 * changed, `"GONE"` not written, because the session is no longer there or has ended.
 */
export type SaveResult = "OK" | "MERGED" | "GONE";

/** Why a save was not written. */
export type DiscardReason =
  /** The key is not in Redis: logged out, expired, evicted, flushed. */
  | "missing"
  /** By its own rules the session is over. */
  | "expired"
  /** Another request logged another user in, or this one out. */
  | "user-changed";

/** What the saver needs of the store around it. */
export interface SaverContext {
  readonly port: Port;
  readonly settings: Settings;
  readonly records: Records;
  readonly renewals: Renewals;
  /** Told of everything that is written, renewed or removed. */
  readonly index: UserIndex | undefined;
  readonly inflate: Inflate;
  onMerged(sid: string, report: MergeReport): void;
  onDiscarded(sid: string, reason: DiscardReason): void;
}

/**
 * Writes sessions: a compare-and-set with what the request started from, a three-way merge where
 * another request came first, and renewals that follow the same rule.
 */
export class Saver {
  readonly #turns = new Turns();
  readonly #context: SaverContext;
  readonly #versions: Versions;
  readonly #conflicts: Conflicts;

  constructor(context: SaverContext) {
    const { settings, records, inflate } = context;
    this.#context = context;
    this.#versions = new Versions(records, inflate);
    this.#conflicts = new Conflicts(settings, records, this.#versions);
  }

  /** Writes an object that the store does not know, whatever Redis holds. */
  async create(sid: string, session: object): Promise<SaveResult> {
    const { records, settings, index } = this.#context;
    const now = Date.now();
    const life = lifetime(settings.rules, session, sid, now, now, false);
    const user = index?.userOf(session);
    const text = records.write(session, hasDeadline(settings.rules) ? now : undefined);
    const writer = { sid, loaded: undefined, user: () => user };
    return this.#inTurn(writer, text, (value, turn, entry) =>
      this.#set(sid, value, life, turn, entry),
    );
  }

  /** Saves an object that the store handed out, or is about to save for the first time. */
  async save(loaded: Loaded, session: object): Promise<SaveResult> {
    const { sid, created, stamp, hidden } = loaded;
    const { records, settings, index } = this.#context;
    const redated = isRedated(loaded, session);
    const expires = expiresOf(session);
    const life = lifetime(settings.rules, session, sid, created, Date.now(), !redated);
    const { cookie } = session as { cookie?: CookieSettings };
    const saved = cookie && settingsOf(cookie);
    const user = index?.userOf(session);
    const text = records.write(session, stamp, hidden);
    const writer = { sid, loaded, user: () => user };
    return this.#inTurn(writer, text, async (value, turn, entry) => {
      const result = await this.#write(loaded, value, life, redated, turn, entry);
      if (result !== "GONE") Object.assign(loaded, { cookie: saved, expires });
      return result;
    });
  }

  /** Saves nothing of a loaded object but its cookie. */
  async saveCookie(loaded: Loaded, cookie: CookieSettings | undefined): Promise<SaveResult> {
    const { sid, created, stamp, hidden } = loaded;
    const { records, settings } = this.#context;
    const redated = isRedated(loaded, { cookie });
    const expires = expiresOf({ cookie });
    const saved = cookie && settingsOf(cookie);
    const text = records.write({ cookie });
    const writer = { sid, loaded, user: () => loaded.user };
    return this.#inTurn(writer, text, async (value, turn, entry) => {
      // Not before: a save of this object that was under way has changed its ancestor.
      const { session } = await this.#versions.stored(loaded.ancestor as Value, loaded);
      const { session: only } = await records.read(value, sid);
      if (cookie !== undefined) session.cookie = only.cookie;
      const life = lifetime(settings.rules, session, sid, created, Date.now(), !redated);
      const own = await records.write(session, stamp, hidden);
      const result = await this.#write(loaded, own, life, redated, turn, entry);
      if (result !== "GONE") Object.assign(loaded, { cookie: saved, expires });
      return result;
    });
  }

  /** Removes a session; how many were there. */
  destroy(sid: string): Promise<number> {
    return this.#turns.take(sid, (turn) => {
      turn.latest = undefined;
      return this.#remove(sid);
    });
  }

  /** Waits for the saves of a session that are under way in this process. */
  settled(sid: string): Promise<void> {
    return this.#turns.take(sid, async () => {});
  }

  /** Renews a loaded session; `false` where there is none. */
  async renew(loaded: Loaded, life: Lifetime): Promise<boolean> {
    const entry = this.#context.index?.open(loaded.sid, loaded.user);
    const renew = async () =>
      (await this.#renew(loaded, loaded.expected as Value, life, entry)) !== null;
    return entry === undefined ? renew() : entry.around(loaded, renew);
  }

  /**
   * Runs `write` in the session's turn, and has the index follow it. The turn is taken before the
   * text is there, so that saves and a logout keep the order in which the app asked for them.
   */
  #inTurn(
    { sid, loaded, user }: Writer,
    text: Promise<Value>,
    write: (value: Value, turn: Turn, entry: Membership | undefined) => Promise<SaveResult>,
  ): Promise<SaveResult> {
    // It may fail before its turn has come; the turn reports it.
    text.catch(() => {});
    return this.#turns.take(sid, async (turn) => {
      const value = await text;
      const entry = this.#context.index?.open(sid, user());
      if (entry === undefined) return write(value, turn, undefined);
      let result: SaveResult = "GONE";
      const isThere = await entry.around(loaded, async () => {
        result = await write(value, turn, entry);
        return result !== "GONE";
      });
      return isThere || result === "GONE" ? result : this.#discard(sid, "missing", turn);
    });
  }

  async #write(
    loaded: Loaded,
    own: Value,
    life: Lifetime,
    redated: boolean,
    turn: Turn,
    entry: Membership | undefined,
  ): Promise<SaveResult> {
    const { sid, expected } = loaded;
    const { conflict } = this.#context.settings;
    if (expected === undefined) {
      const result = await this.#set(sid, own, life, turn, entry);
      if (result === "OK") remember(loaded, own, own);
      return result;
    }
    if (this.#isOver(life)) return this.#end(sid, turn);
    if (!redated && !(await this.#versions.isChanged(loaded, own))) {
      const held = await this.#renew(loaded, turn.latest ?? expected, life, entry);
      if (held === null) return this.#discard(sid, "missing", turn);
      turn.latest = held;
      return "OK";
    }
    if (conflict === "overwrite") return this.#overwrite(loaded, own, life, turn, entry);
    return this.#compareAndSet(loaded, own, life, turn, entry);
  }

  async #set(
    sid: string,
    value: Value,
    life: Lifetime,
    turn: Turn,
    entry: Membership | undefined,
  ): Promise<SaveResult> {
    const { port, renewals, settings } = this.#context;
    if (this.#isOver(life)) return this.#end(sid, turn);
    // At least 1: the millisecond may have passed since the line above.
    const px = settings.disableTTL ? null : Math.max(1, life.exact - Date.now());
    const written = port.set(settings.prefix + sid, value, px);
    entry?.sent(px && life.exact);
    await written;
    if (px !== null) renewals.remember(sid, life.exact, life);
    turn.latest = value;
    return "OK";
  }

  async #overwrite(
    loaded: Loaded,
    own: Value,
    life: Lifetime,
    turn: Turn,
    entry: Membership | undefined,
  ): Promise<SaveResult> {
    const { port, settings } = this.#context;
    const { sid } = loaded;
    const px = this.#px(life);
    const written = port.set(settings.prefix + sid, own, px, true);
    entry?.sent(px && life.relaxed);
    if (!(await written)) return this.#discard(sid, "missing", turn);
    this.#remember(sid, life);
    remember(loaded, own, own);
    turn.latest = own;
    return "OK";
  }

  async #compareAndSet(
    loaded: Loaded,
    own: Value,
    life: Lifetime,
    turn: Turn,
    entry: Membership | undefined,
  ): Promise<SaveResult> {
    const { port, settings, index } = this.#context;
    const { sid } = loaded;
    const key = settings.prefix + sid;
    const until = performance.now() + settings.timeout;
    let there = turn.latest ?? (loaded.expected as Value);
    for (;;) {
      let value: Value | undefined = own;
      let ends = life;
      let report: MergeReport | undefined;
      if (!sameValue(there, loaded.ancestor as Value)) {
        const resolution = await this.#conflicts.resolve(loaded, there, own);
        if (resolution === null) return this.#discard(sid, "user-changed", turn);
        ({ value, life: ends, report } = resolution);
        entry?.belongsTo(index?.storedUserOf(resolution.session));
        if (this.#isOver(ends)) return this.#end(sid, turn);
      }
      const px = this.#px(ends);
      const written =
        value === undefined
          ? port.run(COMPARE_AND_RENEW, key, [there, String(px ?? "")])
          : port.run(COMPARE_AND_SET, key, [there, value, String(px ?? "")]);
      entry?.sent(px && ends.relaxed);
      const reply = await written;
      if (reply === 0) return this.#discard(sid, "missing", turn);
      if (reply === 1) {
        this.#remember(sid, ends);
        turn.latest = value ?? there;
        remember(loaded, turn.latest, own);
        if (report === undefined || report.kept.length === 0) return "OK";
        this.#context.onMerged(sid, report);
        return "MERGED";
      }
      there = reply as Value;
      if (performance.now() >= until) throw conflictError(sid, settings.timeout);
    }
  }

  /** Renews what is `there`, or what it has become; the value that was renewed, or `null`. */
  async #renew(
    loaded: Loaded,
    there: Value,
    life: Lifetime,
    entry: Membership | undefined,
  ): Promise<Value | null> {
    const { port, settings } = this.#context;
    const { sid } = loaded;
    const key = settings.prefix + sid;
    if (settings.conflict === "overwrite") {
      const px = this.#px(life);
      // Without an expiry and without scripts there is no cheaper question.
      const asked =
        px === null ? port.get(key).then((value) => value !== null) : port.expire(key, px);
      entry?.sent(px && life.relaxed);
      const renewed = await asked;
      if (renewed) this.#remember(sid, life);
      return renewed ? there : null;
    }
    const until = performance.now() + settings.timeout;
    let held = there;
    // After a merge, or another save in this process, the session's cookie may not be the object's.
    let ends = sameValue(there, loaded.ancestor as Value)
      ? life
      : await this.#lifeOf(there, loaded, entry);
    for (;;) {
      const px = this.#px(ends);
      const renewed = port.run(COMPARE_AND_RENEW, key, [held, String(px ?? "")]);
      entry?.sent(px && ends.relaxed);
      const reply = await renewed;
      if (reply === 0) return null;
      if (reply === 1) {
        this.#remember(sid, ends);
        return held;
      }
      if (performance.now() >= until) throw conflictError(sid, settings.timeout);
      held = reply as Value;
      ends = await this.#lifeOf(held, loaded, entry);
    }
  }

  /** When a session ends that is renewed as it is stored. */
  async #lifeOf(
    value: Value,
    { sid, created: seen }: Loaded,
    entry: Membership | undefined,
  ): Promise<Lifetime> {
    const { records, settings, index } = this.#context;
    const { session, created = seen } = await records.read(value, sid);
    entry?.belongsTo(index?.storedUserOf(session));
    const now = Date.now();
    refreshExpires(settings.rules, session, created, now);
    return lifetime(settings.rules, session, sid, created, now, true);
  }

  #isOver(life: Lifetime): boolean {
    return !this.#context.settings.disableTTL && life.exact <= Date.now();
  }

  /** Deletes a session whose expiry has passed. */
  async #end(sid: string, turn: Turn): Promise<SaveResult> {
    await this.#remove(sid);
    return this.#discard(sid, "expired", turn);
  }

  #remove(sid: string): Promise<number> {
    const { port, settings, renewals, index } = this.#context;
    renewals.forget(sid);
    return index === undefined ? port.remove(settings.prefix + sid) : index.remove(sid);
  }

  #discard(sid: string, reason: DiscardReason, turn: Turn): SaveResult {
    turn.latest = undefined;
    this.#context.renewals.forget(sid);
    this.#context.onDiscarded(sid, reason);
    return "GONE";
  }

  #remember(sid: string, life: Lifetime): void {
    if (!this.#context.settings.disableTTL)
      this.#context.renewals.remember(sid, life.relaxed, life);
  }

  /** What a renewal or a compare-and-set asks for, in ms from now; `null` for no expiry. */
  #px(life: Lifetime): number | null {
    return this.#context.settings.disableTTL ? null : Math.max(1, life.relaxed - Date.now());
  }
}

/** Who writes a session. */
interface Writer {
  readonly sid: string;
  readonly loaded: Loaded | undefined;
  /** Whose session it is to be, asked when the turn has come. */
  readonly user: () => string | undefined;
}

function remember(loaded: Loaded, expected: Value, ancestor: Value): void {
  loaded.expected = expected;
  loaded.ancestor = ancestor;
  loaded.undated = false;
}

function conflictError(sid: string, timeout: number): StoreError {
  const message = `session ${shortSid(sid)} kept being changed by other processes for ${timeout} ms; nothing was stored, save it again`;
  return new StoreError("ERR_CONFLICT", message);
}
