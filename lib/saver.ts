import { performance } from "node:perf_hooks";
import { type Port, sameValue, type Value } from "./client/port.js";
import { type CookieSettings, settingsOf } from "./cookie.js";
import { StoreError } from "./errors.js";
import { type Lifetime, lifetime, refreshExpires } from "./expiry.js";
import { shortSid } from "./keys.js";
import type { Loaded } from "./loaded.js";
import { type MergeReport, merge, reportMerge, sameSession, type Tree } from "./merge.js";
import type { ConflictResolver, Settings } from "./options.js";
import type { Records } from "./record.js";
import type { Renewals } from "./renewals.js";
import { COMPARE_AND_RENEW, COMPARE_AND_SET } from "./scripts.js";
import { type Turn, Turns } from "./turns.js";

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
  /** The object that express-session makes of a stored session. */
  inflate(session: Tree, sid: string): object;
  onMerged(sid: string, report: MergeReport): void;
  onDiscarded(sid: string, reason: DiscardReason): void;
}

/** A session in the form in which versions of it are compared: as the serializer would read it. */
interface Version {
  readonly session: Tree;
  readonly hidden: Tree | undefined;
  readonly created: number | undefined;
}

/** What to put in the place of what another request wrote. */
interface Merged {
  /** `undefined`: what is there holds everything already. */
  readonly value: Value | undefined;
  readonly life: Lifetime;
  readonly report: MergeReport;
}

/**
 * Writes sessions: a compare-and-set with what the request started from, a three-way merge where
 * another request came first, and renewals that follow the same rule.
 */
export class Saver {
  readonly #turns = new Turns();
  readonly #context: SaverContext;

  constructor(context: SaverContext) {
    this.#context = context;
  }

  /** Runs `write` after the saves of this session that are under way in this process. */
  afterSaves<Result>(sid: string, write: () => Promise<Result>): Promise<Result> {
    return this.#turns.take(sid, (turn) => {
      turn.latest = undefined;
      return write();
    });
  }

  /** Writes an object that the store does not know, whatever Redis holds. */
  async create(sid: string, session: object): Promise<SaveResult> {
    const { records } = this.#context;
    const now = Date.now();
    const life = this.#lifetime(session, sid, now, now);
    const writing = records.write(session, now, undefined);
    return this.#turns.take(sid, async (turn) => this.#set(sid, await writing, life, turn));
  }

  /** Saves an object that the store handed out, or has saved before. */
  async save(loaded: Loaded, session: object): Promise<SaveResult> {
    const { sid, created, hidden } = loaded;
    const life = this.#lifetime(session, sid, created, Date.now());
    const { cookie } = session as { cookie?: CookieSettings };
    const settings = cookie && settingsOf(cookie);
    const writing = this.#context.records.write(session, created, hidden);
    return this.#turns.take(sid, async (turn) => {
      const mine = await writing;
      const result = await this.#write(loaded, mine, life, turn);
      if (result !== "GONE") loaded.cookie = settings;
      return result;
    });
  }

  /** Saves nothing of an object but its cookie. */
  async saveCookie(loaded: Loaded, cookie: unknown): Promise<SaveResult> {
    const { session } = await this.#version(loaded.ancestor as Value, loaded);
    return this.save(loaded, { ...session, cookie });
  }

  /** Renews a session; `false` where there is none. */
  async renew(loaded: Loaded, life: Lifetime): Promise<boolean> {
    return (await this.#renew(loaded, loaded.expected as Value, life)) !== null;
  }

  async #write(loaded: Loaded, mine: Value, life: Lifetime, turn: Turn): Promise<SaveResult> {
    const { sid } = loaded;
    const { conflict, disableTTL } = this.#context.settings;
    if (loaded.expected === undefined) {
      const result = await this.#set(sid, mine, life, turn);
      if (result === "OK") remember(loaded, mine, mine);
      return result;
    }
    if (!disableTTL && life.exact <= Date.now()) return this.#end(sid, turn);
    if (!(await this.#isChanged(loaded, mine))) {
      const held = await this.#renew(loaded, turn.latest ?? loaded.expected, life);
      if (held === null) return this.#discard(sid, "missing", turn);
      turn.latest = held;
      return "OK";
    }
    if (conflict === "overwrite") return this.#overwrite(loaded, mine, life, turn);
    return this.#compareAndSet(loaded, mine, life, turn);
  }

  async #set(sid: string, value: Value, life: Lifetime, turn: Turn): Promise<SaveResult> {
    const { port, renewals, settings } = this.#context;
    const left = life.exact - Date.now();
    if (settings.disableTTL) {
      await port.set(settings.prefix + sid, value, null);
    } else {
      if (left <= 0) return this.#end(sid, turn);
      await port.set(settings.prefix + sid, value, left);
      renewals.remember(sid, life.exact);
    }
    turn.latest = value;
    return "OK";
  }

  async #overwrite(loaded: Loaded, mine: Value, life: Lifetime, turn: Turn): Promise<SaveResult> {
    const { port, settings } = this.#context;
    const { sid } = loaded;
    const px = this.#px(life);
    if (!(await port.set(settings.prefix + sid, mine, px, true)))
      return this.#discard(sid, "missing", turn);
    this.#remember(sid, life);
    remember(loaded, mine, mine);
    turn.latest = mine;
    return "OK";
  }

  async #compareAndSet(
    loaded: Loaded,
    mine: Value,
    ownLife: Lifetime,
    turn: Turn,
  ): Promise<SaveResult> {
    const { port, settings } = this.#context;
    const { sid } = loaded;
    const key = settings.prefix + sid;
    const until = performance.now() + settings.timeout;
    let base = turn.latest ?? (loaded.expected as Value);
    for (;;) {
      let value: Value | undefined = mine;
      let life = ownLife;
      let report: MergeReport | undefined;
      if (!sameValue(base, loaded.ancestor as Value)) {
        const merged = await this.#merge(loaded, base, mine);
        if (merged === null) return this.#discard(sid, "user-changed", turn);
        ({ value, life, report } = merged);
        if (!settings.disableTTL && life.exact <= Date.now()) return this.#end(sid, turn);
      }
      const reply =
        value === undefined
          ? await port.run(COMPARE_AND_RENEW, key, [base, this.#pxText(life)])
          : await port.run(COMPARE_AND_SET, key, [base, value, this.#pxText(life)]);
      if (reply === 0) return this.#discard(sid, "missing", turn);
      // A client repeats a command after a reconnect: then it is our own write that we find.
      if (reply === 1 || (value !== undefined && sameValue(reply as Value, value))) {
        this.#remember(sid, life);
        turn.latest = value ?? base;
        remember(loaded, turn.latest, mine);
        if (report === undefined || report.kept.length === 0) return "OK";
        this.#context.onMerged(sid, report);
        return "MERGED";
      }
      base = reply as Value;
      if (performance.now() >= until) throw conflictError(sid, settings.timeout);
    }
  }

  /** What the request did, applied to what another one wrote; `null` where that must not be. */
  async #merge(loaded: Loaded, base: Value, mineValue: Value): Promise<Merged | null> {
    const { records, settings } = this.#context;
    const { sid } = loaded;
    const ancestor = await this.#version(loaded.ancestor as Value, loaded);
    const current = await this.#version(base, loaded);
    const mine = await records.read(mineValue, sid);
    const versions = [ancestor.session, current.session, visible(mine.session, loaded)] as const;
    const session =
      typeof settings.conflict === "function"
        ? await resolveBy(settings.conflict, ...versions)
        : merge({
            ancestor: versions[0],
            current: versions[1],
            mine: versions[2],
            userOf: settings.userOf,
          });
    if (session === null) return null;

    // What the last save of this object kept of others is no news.
    const known = await this.#version(loaded.expected as Value, loaded);
    const report = reportMerge(known.session, versions[1], versions[2], session);
    const now = Date.now();
    const created = current.created ?? loaded.created;
    refreshExpires(settings.rules, session, created, now);
    const life = this.#lifetime(session, sid, created, now);
    const isThere =
      sameSession(session, current.session) && (current.created !== undefined || !loaded.undated);
    return {
      value: isThere ? undefined : await records.write(session, created, current.hidden),
      life,
      report,
    };
  }

  /** Renews what holds `base`, or what it has become; the value that was renewed, or `null`. */
  async #renew(loaded: Loaded, base: Value, life: Lifetime): Promise<Value | null> {
    const { port, settings } = this.#context;
    const { sid } = loaded;
    const key = settings.prefix + sid;
    if (settings.conflict === "overwrite") {
      const px = this.#px(life);
      // Without expiry and without scripts there is nothing to renew and no cheaper question.
      const there = px === null ? (await port.get(key)) !== null : await port.expire(key, px);
      if (there) this.#remember(sid, life);
      return there ? base : null;
    }
    const until = performance.now() + settings.timeout;
    let held = base;
    let ends = life;
    for (;;) {
      const reply = await port.run(COMPARE_AND_RENEW, key, [held, this.#pxText(ends)]);
      if (reply === 0) return null;
      if (reply === 1) {
        this.#remember(sid, ends);
        return held;
      }
      held = reply as Value;
      const current = await this.#context.records.read(held, sid);
      const created = current.created ?? loaded.created;
      const now = Date.now();
      refreshExpires(settings.rules, current.session, created, now);
      ends = this.#lifetime(current.session, sid, created, now);
      if (performance.now() >= until) throw conflictError(sid, settings.timeout);
    }
  }

  /** Deletes a session whose expiry has passed. */
  async #end(sid: string, turn: Turn): Promise<SaveResult> {
    await this.#context.port.remove(this.#context.settings.prefix + sid);
    return this.#discard(sid, "expired", turn);
  }

  #discard(sid: string, reason: DiscardReason, turn: Turn): SaveResult {
    turn.latest = undefined;
    this.#context.renewals.forget(sid);
    this.#context.onDiscarded(sid, reason);
    return "GONE";
  }

  async #isChanged(loaded: Loaded, mineValue: Value): Promise<boolean> {
    if (loaded.undated) return true;
    const ancestor = await this.#version(loaded.ancestor as Value, loaded);
    const mine = await this.#context.records.read(mineValue, loaded.sid);
    return !sameSession(ancestor.session, visible(mine.session, loaded));
  }

  /**
   * A stored text as the object would look that express-session makes of it, and through the
   * serializer: so that a session that nobody changed compares equal, whatever a Cookie adds and
   * whatever JSON does to a Date.
   */
  async #version(value: Value, loaded: Loaded): Promise<Version> {
    const { inflate, records } = this.#context;
    const { session, created } = await records.read(value, loaded.sid);
    if (!loaded.inflated) return { session, hidden: undefined, created };
    const inflated = inflate(session, loaded.sid);
    const hidden = hiddenKeys(session, inflated);
    const text = await records.write(inflated, 0, undefined);
    return { session: (await records.read(text, loaded.sid)).session, hidden, created };
  }

  #lifetime(session: object, sid: string, created: number, now: number): Lifetime {
    return lifetime(this.#context.settings.rules, session, sid, created, now);
  }

  #remember(sid: string, life: Lifetime): void {
    if (!this.#context.settings.disableTTL) this.#context.renewals.remember(sid, life.relaxed);
  }

  /** What a renewal or a compare-and-set asks for, in ms from now. */
  #px(life: Lifetime): number | null {
    return this.#context.settings.disableTTL ? null : Math.max(1, life.relaxed - Date.now());
  }

  #pxText(life: Lifetime): string {
    return String(this.#px(life) ?? "");
  }
}

/** The stored keys of `session` that the object which express-session made of it does not have. */
export function hiddenKeys(session: Tree, inflated: object): Tree | undefined {
  let hidden: Tree | undefined;
  for (const key of Object.keys(session)) {
    if (Object.hasOwn(inflated, key)) continue;
    hidden ??= Object.create(null) as Tree;
    hidden[key] = session[key];
  }
  return hidden;
}

/** A session of this request without the keys that were only kept for it. */
function visible(session: Tree, { hidden }: Loaded): Tree {
  if (hidden !== undefined) for (const key of Object.keys(hidden)) delete session[key];
  return session;
}

function remember(loaded: Loaded, expected: Value, ancestor: Value): void {
  loaded.expected = expected;
  loaded.ancestor = ancestor;
  loaded.undated = false;
}

async function resolveBy(
  resolver: ConflictResolver,
  ...versions: readonly [Tree, Tree, Tree]
): Promise<Tree> {
  type Sessions = Parameters<ConflictResolver>;
  const session: unknown = await resolver(...(versions as unknown as Sessions));
  if (typeof session === "object" && session !== null && !Array.isArray(session))
    return session as Tree;
  throw new StoreError(
    "ERR_INVALID_SESSION",
    "the conflict function must return a session; nothing was stored",
  );
}

function conflictError(sid: string, timeout: number): StoreError {
  const message = `session ${shortSid(sid)} kept being changed by other processes for ${timeout} ms; nothing was stored, save it again`;
  return new StoreError("ERR_CONFLICT", message);
}
