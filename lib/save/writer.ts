// The commands by which sessions are written, and what their replies mean.
import { performance } from "node:perf_hooks";
import { StoreError } from "../base/index.js";
import type { Port } from "../client/index.js";
import type { Settings } from "../options.js";
import {
  type Lifetime,
  type Loaded,
  lifetime,
  type MergeReport,
  type Records,
  type Renewals,
  refreshExpires,
  sameValue,
  shortSid,
  type Value,
} from "../session/index.js";
import type { Membership, UserIndex } from "../users/index.js";
import type { Conflicts } from "./conflict.js";
import { COMPARE_AND_REMOVE, COMPARE_AND_RENEW } from "./scripts.js";
import type { Turn } from "./turns.js";

/**
 * What became of a save: `"OK"` written, `"MERGED"` written together with what another request had
 * changed, `"GONE"` not written: the session is no longer there, has ended, or is another user's.
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

/** What writing needs of the store around it. */
export interface WriterContext {
  readonly port: Port;
  readonly settings: Settings;
  readonly records: Records;
  readonly renewals: Renewals;
  /** Told of everything that is written, renewed or removed. */
  readonly index: UserIndex | undefined;
  onMerged(sid: string, report: MergeReport): void;
  onDiscarded(sid: string, reason: DiscardReason): void;
}

/** The circumstances of one write: the session's turn, and its user's index if there is one. */
export interface Step {
  readonly turn: Turn;
  readonly entry: Membership | undefined;
}

/** What one round of a save wants Redis to do. */
interface Attempt {
  /** The text to write; `undefined`: what is there holds everything already. */
  readonly value: Value | undefined;
  readonly life: Lifetime;
  readonly report?: MergeReport;
}

/** The commands by which sessions are written, and what their replies mean. */
export class Writer {
  readonly #context: WriterContext;
  readonly #conflicts: Conflicts;

  constructor(context: WriterContext, conflicts: Conflicts) {
    this.#context = context;
    this.#conflicts = conflicts;
  }

  /** Writes a session whatever Redis holds. */
  async set(sid: string, value: Value, life: Lifetime, step: Step): Promise<SaveResult> {
    const { port, renewals, settings } = this.#context;
    if (this.isOver(life)) {
      await this.remove(sid);
      return this.discard(sid, "expired", step.turn);
    }
    // At least 1: the millisecond may have passed since the line above.
    const px = settings.disableTTL ? null : Math.max(1, life.exact - Date.now());
    const written = port.set(settings.prefix + sid, value, px);
    step.entry?.sent(px && life.exact);
    await written;
    if (px !== null) renewals.remember(sid, life.exact, life);
    step.turn.latest = value;
    return "OK";
  }

  /** Writes a loaded session wherever there still is one. */
  async overwrite(loaded: Loaded, own: Value, life: Lifetime, step: Step): Promise<SaveResult> {
    const { port, settings } = this.#context;
    const { sid } = loaded;
    if (this.isOver(life)) {
      await this.remove(sid);
      return this.discard(sid, "expired", step.turn);
    }
    const px = this.#px(life);
    const written = port.set(settings.prefix + sid, own, px, "existing");
    step.entry?.sent(px && life.relaxed);
    if (!(await written)) return this.discard(sid, "missing", step.turn);
    this.#remember(sid, life);
    noteSaved(loaded, own, own);
    step.turn.latest = own;
    return "OK";
  }

  /**
   * Writes a loaded session where it still is what it was, merged with what others wrote otherwise.
   * One that is over is removed by the same rule: what another request made of it may live.
   */
  async compareAndSet(loaded: Loaded, own: Value, life: Lifetime, step: Step): Promise<SaveResult> {
    const { settings } = this.#context;
    const { sid } = loaded;
    const until = performance.now() + settings.timeout;
    let there = step.turn.latest ?? (loaded.expected as Value);
    for (;;) {
      let attempt: Attempt = { value: own, life };
      if (!sameValue(there, loaded.ancestor as Value)) {
        const resolution = await this.#conflicts.resolve(loaded, there, own);
        if (resolution === null) return this.discard(sid, "user-changed", step.turn);
        step.entry?.belongsTo(this.#context.index?.storedUserOf(resolution.session));
        attempt = resolution;
      }
      const isOver = this.isOver(attempt.life);
      const reply = await this.#send(sid, there, attempt, isOver, step);
      if (reply === 0) return this.discard(sid, "missing", step.turn);
      const { value, report } = attempt;
      if (reply === 1) {
        if (isOver) return this.discard(sid, "expired", step.turn);
        this.#remember(sid, attempt.life);
        step.turn.latest = value ?? there;
        noteSaved(loaded, step.turn.latest, own);
        if (report === undefined || report.kept.length === 0) return "OK";
        this.#context.onMerged(sid, report);
        return "MERGED";
      }
      there = reply as Value;
      if (performance.now() >= until) throw conflictError(sid, settings.timeout);
    }
  }

  /** Renews what is `there`, or what it has become; the value that was renewed, or `null`. */
  async renew(
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

  /** Removes a session, whatever Redis holds; how many there were. */
  remove(sid: string): Promise<number> {
    const { port, settings, renewals, index } = this.#context;
    renewals.forget(sid);
    return index === undefined ? port.remove(settings.prefix + sid) : index.remove(sid);
  }

  discard(sid: string, reason: DiscardReason, turn: Turn): SaveResult {
    turn.latest = undefined;
    this.#context.renewals.forget(sid);
    this.#context.onDiscarded(sid, reason);
    return "GONE";
  }

  isOver(life: Lifetime): boolean {
    return !this.#context.settings.disableTTL && life.exact <= Date.now();
  }

  #send(
    sid: string,
    there: Value,
    { value, life }: Attempt,
    isOver: boolean,
    { entry }: Step,
  ): Promise<number | Value> {
    const { port, settings } = this.#context;
    const key = settings.prefix + sid;
    if (isOver) return port.run(COMPARE_AND_REMOVE, key, [there]);
    const px = this.#px(life);
    const written =
      value === undefined
        ? port.run(COMPARE_AND_RENEW, key, [there, String(px ?? "")])
        : this.#replace(key, there, value, px);
    entry?.sent(px && life.relaxed);
    return written;
  }

  /** A client repeats a command after a reconnect: what is written already needs its expiry alone. */
  async #replace(
    key: string,
    there: Value,
    value: Value,
    px: number | null,
  ): Promise<number | Value> {
    const { port } = this.#context;
    const reply = await port.replace(key, there, value, px);
    if (reply === true || reply === null) return Number(reply);
    return sameValue(reply, value)
      ? port.run(COMPARE_AND_RENEW, key, [value, String(px ?? "")])
      : reply;
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

  #remember(sid: string, life: Lifetime): void {
    const { renewals, settings } = this.#context;
    if (!settings.disableTTL) renewals.remember(sid, life.relaxed, life);
  }

  /** What a renewal or a compare-and-set asks for, in ms from now; `null` for no expiry. */
  #px(life: Lifetime): number | null {
    return this.#context.settings.disableTTL ? null : Math.max(1, life.relaxed - Date.now());
  }
}

/** After a save Redis holds `expected`, of which `ancestor` is what the object itself says. */
export function noteSaved(loaded: Loaded, expected: Value, ancestor: Value): void {
  loaded.expected = expected;
  loaded.ancestor = ancestor;
  loaded.undated = false;
}

function conflictError(sid: string, timeout: number): StoreError {
  const message = `session ${shortSid(sid)} kept being changed by other processes for ${timeout} ms; nothing was stored, save it again`;
  return new StoreError("ERR_CONFLICT", message);
}
