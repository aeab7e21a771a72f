// The commands by which sessions are written, and what their replies mean.
import { randomBytes } from "node:crypto";
import { performance } from "node:perf_hooks";
import { type Report, StoreError } from "../base/index.js";
import { isInDoubt, type Port, type TimeToLive } from "../client/index.js";
import type { Ending, Endings } from "../endings/index.js";
import type { Settings } from "../options.js";
import {
  type Held,
  isOver,
  isWhole,
  type Lifetime,
  type Loaded,
  lifetime,
  type MergeReport,
  NONE,
  pxOf,
  type Records,
  type Renewals,
  refreshExpires,
  sameValue,
  shortSid,
  type Text,
  type Value,
} from "../session/index.js";
import type { Membership, UserIndex } from "../users/index.js";
import type { Conflicts } from "./conflict.js";
import type { Doubts } from "./doubts.js";
import { COMPARE_AND_REMOVE, COMPARE_AND_RENEW, digestOf } from "./scripts.js";
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
  | "user-changed"
  /** It is not sealed, and `plaintextUntil` is over; see the option `encryption`. */
  | "plaintext"
  /** It was sealed under a key that is `revoked` since; see the option `encryption`. */
  | "revoked";

/** What writing needs of the store around it. */
export interface WriterContext {
  readonly port: Port;
  readonly settings: Settings;
  readonly records: Records;
  readonly renewals: Renewals;
  /** Told of everything that is written, renewed or removed. */
  readonly index: UserIndex | undefined;
  readonly endings: Endings;
  onMerged(sid: string, report: MergeReport): void;
  onDiscarded(sid: string, reason: DiscardReason): void;
}

/** The circumstances of one write: the session's turn, its user's index, and who is to be told. */
export interface Step {
  readonly turn: Turn;
  readonly entry: Membership | undefined;
  readonly report: Report | undefined;
}

/** What the app wants to be stored of a loaded object. */
export interface Wish {
  /** The plain text of the object, once it is known what the object started from. */
  own(base: Held | undefined): Value | Promise<Value>;
  /** `undefined`: what the key has left to live. */
  readonly life: Lifetime | undefined;
  /** Whether the app has set the date of the cookie by hand. */
  readonly isRedated: boolean;
  readonly user: string | undefined;
}

/** What one round asks Redis to do with the key. */
interface Attempt {
  /** The text to write; `undefined`: what is there holds everything already. */
  readonly text: Text | undefined;
  /** `undefined`: the life that the key has. */
  readonly life: Lifetime | undefined;
  /** What the object itself says; it may be less than the text. */
  readonly own?: Value;
  /** The mark of the text; perhaps one that it had before. */
  readonly mark?: string | undefined;
  /** Whether the mark is of this write alone. */
  readonly isMarked?: boolean;
  /** It was written: what is there needs a renewal at most, and nothing where others have gone on. */
  readonly isFound?: boolean;
  readonly report?: MergeReport;
}

/** What is to be done with a session, whatever it turns out to be. */
interface Task {
  readonly sid: string;
  /** What Redis should hold; `null`: nothing. */
  readonly from: Text | null;
  /** What to ask for where this is there; `null`: nothing, and the session is left alone. */
  readonly plan: (there: Text | null) => Attempt | null | Promise<Attempt | null>;
  /** Whether the session is written where there is none, or one that counts as missing. */
  mayCreate?(): boolean;
  /** What is there counts as missing. */
  onRefused?(reason: DiscardReason): void;
  /** A command got no answer that was to put this attempt in the place of that text. */
  onFailed?(error: unknown, attempt: Attempt, there: Text | null): void;
  readonly entry: Membership | undefined;
  readonly report: Report | undefined;
}

/** What was done in the end, and the text that is there now. */
interface Done {
  readonly attempt: Attempt;
  readonly text: Text;
  /** Whether the session was over and is removed. */
  readonly isOver: boolean;
}

/** So many times a write is computed anew, however fast the other processes are. */
const MOST_ROUNDS = 1000;

/** Writes sessions, each when its turn has come. */
export class Writer {
  readonly #context: WriterContext;
  readonly #conflicts: Conflicts;
  readonly #doubts: Doubts;

  constructor(context: WriterContext, conflicts: Conflicts, doubts: Doubts) {
    this.#context = context;
    this.#conflicts = conflicts;
    this.#doubts = doubts;
  }

  /** Writes a session whatever Redis holds. */
  async set(sid: string, plain: Value, life: Lifetime, step: Step): Promise<SaveResult> {
    const { port, settings, renewals } = this.#context;
    if (this.isOver(life)) return this.#end(sid, step);
    // It may shorten the life before its answer comes.
    renewals.forget(sid);
    const text = this.#sealed(plain, sid);
    const px = settings.disableTTL ? null : pxOf(life, "exact");
    const sent = performance.now();
    step.report?.asked();
    const written = port.set(settings.prefix + sid, text.stored, px);
    step.entry?.sent(px && Date.now() + px);
    try {
      await written;
    } catch (error) {
      if (isInDoubt(error)) this.#doubts.mayCreate(sid, text.stored);
      throw error;
    }
    step.report?.carried(text.stored);
    this.#remember(sid, text, px, sent, life);
    step.turn.latest = text;
    return "OK";
  }

  /** Writes a row of `all()` where its key still is. */
  async setListed(sid: string, plain: Value, step: Step): Promise<SaveResult> {
    const { port, settings, renewals } = this.#context;
    renewals.forget(sid);
    const text = this.#sealed(plain, sid);
    const key = settings.prefix + sid;
    step.report?.asked();
    if (!(await port.set(key, text.stored, "keep", "existing"))) {
      return this.discard(sid, "missing", step);
    }
    step.report?.carried(text.stored);
    step.turn.latest = text;
    await this.#tellIndex(key, step);
    return "OK";
  }

  /** Writes an object as the last writer: over what is there, or where nothing is if it is new. */
  async overwrite(loaded: Loaded, wish: Wish, step: Step): Promise<SaveResult> {
    const { port, settings } = this.#context;
    const { sid, held } = loaded;
    const { life } = wish;
    if (life && this.isOver(life)) return this.#end(sid, step);
    const own = await wish.own(held);
    // Not before: the keys may have changed meanwhile.
    const refusal = held && this.#context.records.refusalOf(held.stored);
    if (refusal !== undefined) return this.#gone(loaded, refusal, step);
    const text = this.#sealed(own, sid);
    const key = settings.prefix + sid;
    const px = this.#px(life);
    const sent = performance.now();
    let isWritten = false;
    try {
      // As a new one first: should that come late, it does not undo a later save.
      for (const when of held === undefined
        ? (["new", "existing"] as const)
        : ["existing" as const]) {
        step.report?.asked();
        const written = port.set(key, text.stored, px, when);
        if (px !== "keep") step.entry?.sent(px && Date.now() + px);
        isWritten = await written;
        if (isWritten) break;
      }
    } catch (error) {
      const attempt: Attempt = { text, life, own };
      this.#doubt(loaded, attempt, held?.plain, wish.user, error);
      throw error;
    }
    if (!isWritten) return this.#gone(loaded, "missing", step);
    if (life) this.#remember(sid, text, px, sent, life);
    else await this.#tellIndex(key, step);
    this.#note(loaded, { ...text, own, isStale: false }, loaded.mark, step);
    return "OK";
  }

  /**
   * Writes a loaded object where the session still is what it was, merged with what others wrote
   * otherwise. One that is over is removed by the same rule: what another request made of it may
   * live. A new object is written where there is none.
   */
  async save(loaded: Loaded, wish: Wish, step: Step): Promise<SaveResult> {
    const { settings, index } = this.#context;
    const { sid } = loaded;
    const { entry } = step;
    let reason: DiscardReason = "missing";
    let isGuess = false;
    let last: Attempt | null = null;
    const plan = async (there: Text | null): Promise<Attempt | null> => {
      // A client may send a command again. If another request has written the very same, it is as good.
      if (last?.text && there && sameValue(there.stored, last.text.stored)) {
        // It is there, whatever becomes of its renewal.
        const { text, own = text.plain } = last;
        loaded.held = { ...text, own, isStale: false };
        loaded.user = wish.user;
        return { ...last, text: undefined, isFound: true };
      }
      last = await planned(there);
      return last;
    };
    const planned = async (there: Text | null): Promise<Attempt | null> => {
      // Of a new object Redis may hold what its last write was to store. Nobody has said so yet.
      const guess = loaded.unanswered.at(-1)?.held;
      const base =
        there === null
          ? loaded.held
          : there === guess
            ? guess
            : await this.#doubts.settle(loaded, there);
      const own = await wish.own(base);
      if (there === null || (await this.#isFree(sid, there, base))) {
        return this.#attempt(loaded, { plain: own, own, mark: loaded.mark, life: wish.life });
      }
      const { isRedated } = wish;
      const resolution = await this.#conflicts.resolve({ loaded, base, there, own, isRedated });
      if (resolution === null) {
        reason = "user-changed";
        isGuess = there === step.turn.latest;
        return null;
      }
      entry?.belongsTo(index?.storedUserOf(resolution.session));
      const { plain, mark, report } = resolution;
      const life = wish.life && resolution.life;
      return this.#attempt(loaded, { plain, own, mark, life, report });
    };
    const from = await this.#start(loaded, step);
    if (from === null && loaded.held !== undefined) return this.#gone(loaded, reason, step);
    const done = await this.#agree({
      sid,
      from,
      plan,
      entry,
      report: step.report,
      mayCreate: () => loaded.held === undefined,
      onRefused: (refusal) => {
        reason = refusal;
      },
      onFailed: (error, attempt, there) =>
        this.#doubt(loaded, attempt, there?.plain, wish.user, error),
    });
    if (done === null && isGuess) {
      // What this process last wrote need not be there any longer, so Redis has not said it yet.
      step.turn.latest = undefined;
      return this.save(loaded, wish, step);
    }
    if (done === null) return this.#gone(loaded, reason, step);
    if (done.isOver) return this.#gone(loaded, "expired", step);
    const { own = done.text.plain, mark, life, report } = done.attempt;
    this.#note(loaded, { ...done.text, own, isStale: false }, mark, step);
    if (life === undefined) await this.#tellIndex(settings.prefix + sid, step);
    if (report === undefined) return "OK";
    if (step.report !== undefined) step.report.overwritten = report.overwritten.length;
    if (report.kept.length === 0) return "OK";
    this.#context.onMerged(sid, report);
    return "MERGED";
  }

  /** Renews what a loaded object was, or what that has become; the text that is there, or `null`. */
  async renew(
    loaded: Loaded,
    from: Text,
    life: Lifetime | undefined,
    step: Omit<Step, "turn">,
  ): Promise<Text | null> {
    const { port, settings, records, index } = this.#context;
    const { sid, held } = loaded;
    const { entry, report } = step;
    // With an index it has to be known whose session it has become, and that asks for scripts anyway.
    if (settings.conflict === "overwrite" && index === undefined) {
      if (records.refusalOf(from.stored) !== undefined) return null;
      const key = settings.prefix + sid;
      const px = this.#px(life);
      const sent = performance.now();
      report?.asked();
      // Without an expiry and without scripts there is no cheaper question.
      const asked =
        typeof px === "number"
          ? port.expire(key, px)
          : port.get(key).then((value) => value !== null);
      if (!(await asked)) return null;
      if (life) this.#remember(sid, from, px, sent, life);
      return from;
    }
    const done = await this.#agree({
      sid,
      from,
      entry,
      report,
      plan: async (known) => {
        const there = known as Text;
        const text = records.isCurrent(there.stored) ? undefined : this.#sealed(there.plain, sid);
        // After a merge, or another save in this process, the session's cookie may not be the object's.
        return held !== undefined && sameValue(there.stored, held.stored) && isWhole(held)
          ? { text, life }
          : { text, life: life && (await this.#lifeOf(there, loaded, entry)) };
      },
    });
    // Sealed anew, by this process or another one, it is the same session.
    if (done && held && loaded.held === held && sameValue(done.text.plain, held.plain)) {
      loaded.held = { ...held, stored: done.text.stored };
    }
    if (done && life === undefined) await this.#tellIndex(settings.prefix + sid, step);
    return done?.text ?? null;
  }

  /**
   * Removes a session, whatever Redis holds; how many there were.
   *
   * @param ending - why, where somebody ends it on purpose
   */
  remove(sid: string, ending?: Ending): Promise<number> {
    const { port, settings, renewals, index, endings } = this.#context;
    renewals.forget(sid);
    const remove = () =>
      index === undefined ? port.remove(settings.prefix + sid) : index.remove(sid);
    return ending === undefined ? remove() : endings.end([sid], ending, remove);
  }

  /** Removes a session where it is one of those texts, which are named by their digests. */
  async removeIf(sid: string, texts: readonly string[]): Promise<void> {
    const { port, settings } = this.#context;
    const key = settings.prefix + sid;
    const stored = await port.get(key);
    if (stored === null || !texts.includes(digestOf(stored))) return;
    await port.run(COMPARE_AND_REMOVE, key, [digestOf(stored)]);
  }

  discard(sid: string, reason: DiscardReason, { turn, report }: Step): SaveResult {
    turn.latest = undefined;
    if (report !== undefined) report.reason = reason;
    this.#context.renewals.forget(sid);
    this.#context.onDiscarded(sid, reason);
    return "GONE";
  }

  isOver(life: Lifetime): boolean {
    return !this.#context.settings.disableTTL && life.exact <= Date.now();
  }

  /**
   * Asks Redis for what is planned for the text that is there, and plans anew for what it says is
   * there instead. The only loop of its kind.
   *
   * @returns `null` where there is no session, or nothing was planned
   */
  async #agree(task: Task): Promise<Done | null> {
    const { sid, from, plan, report } = task;
    const { settings, records } = this.#context;
    const until = performance.now() + settings.timeout;
    let there = from;
    for (let round = 1; ; round++) {
      const refusal = there === null ? undefined : records.refusalOf(there.stored);
      if (refusal !== undefined && !task.mayCreate?.()) {
        task.onRefused?.(refusal);
        return null;
      }
      const known = refusal === undefined ? there : null;
      const { keys } = records;
      const attempt = await plan(known);
      // Under other keys what is there may count as missing, and is sealed in another way.
      if (records.keys !== keys) {
        if (performance.now() >= until) throw conflictError(sid, settings.timeout);
        continue;
      }
      if (attempt === null) return null;
      const { life, text } = attempt;
      const isOver = life !== undefined && this.isOver(life);
      let reply: number | Value;
      try {
        const px = this.#px(life);
        const sent = performance.now();
        reply = await (isOver ? this.#sendEnd(task, there) : this.#send(task, there, attempt, px));
        if (reply === 1) {
          const now = (text ?? there) as Text;
          if (!isOver && life !== undefined) this.#remember(sid, now, px, sent, life);
          else this.#context.renewals.forget(sid);
          return { attempt, text: now, isOver };
        }
      } catch (error) {
        if (!isOver) task.onFailed?.(error, attempt, known);
        throw error;
      }
      if (attempt.isFound) {
        this.#context.renewals.forget(sid);
        return { attempt, text: there as Text, isOver: false };
      }
      if (typeof reply === "number") {
        if (!task.mayCreate?.()) return null;
        there = null;
      } else {
        // It was compared as bytes: these are none that the client can give back as they are.
        if (there !== null && sameValue(reply, there.stored)) throw notText(sid);
        there = this.#opened(reply, sid);
        if (report !== undefined) report.conflicts++;
      }
      // What this very round was to write is there: only its renewal is left to do.
      const isWritten =
        text !== undefined && there !== null && sameValue(there.stored, text.stored);
      if (!isWritten && (round >= MOST_ROUNDS || performance.now() >= until)) {
        throw conflictError(sid, settings.timeout);
      }
    }
  }

  /** One command of {@link #agree}: 1 done, 0 no session, or the text that is there instead. */
  async #send(
    { sid, entry, report }: Task,
    there: Text | null,
    { text }: Attempt,
    px: TimeToLive,
  ): Promise<number | Value> {
    const { port, settings } = this.#context;
    const key = settings.prefix + sid;
    report?.asked();
    if (there === null) {
      const created = port.set(key, (text as Text).stored, px, "new");
      if (px !== "keep") entry?.sent(px && Date.now() + px);
      if (await created) return 1;
      report?.asked();
      return (await port.get(key)) ?? 0;
    }
    const ms = px === "keep" ? "" : String(px ?? "");
    const onAgain = report && (() => report.asked());
    const written =
      text === undefined
        ? port.run(COMPARE_AND_RENEW, key, [digestOf(there.stored), ms], onAgain)
        : port.replace(key, there.stored, text.stored, px, onAgain);
    if (px !== "keep") entry?.sent(px && Date.now() + px);
    const reply = await written;
    return reply === true ? 1 : (reply ?? 0);
  }

  /** Removes what is there; replies as above. */
  async #sendEnd({ sid, report }: Task, there: Text | null): Promise<number | Value> {
    const { port, settings } = this.#context;
    if (there === null) return 1;
    report?.asked();
    const onAgain = report && (() => report.asked());
    return port.run(COMPARE_AND_REMOVE, settings.prefix + sid, [digestOf(there.stored)], onAgain);
  }

  /** What Redis should hold before a save; asks where too much is in doubt. */
  async #start(loaded: Loaded, { turn, report }: Step): Promise<Text | null> {
    const { port, records, settings } = this.#context;
    const { sid } = loaded;
    this.#doubts.hear(loaded);
    if (!this.#doubts.isFull(loaded)) {
      return turn.latest ?? loaded.held ?? loaded.unanswered.at(-1)?.held ?? null;
    }
    report?.asked();
    const stored = await port.get(settings.prefix + sid);
    const there = stored === null ? null : this.#opened(stored, sid);
    if (there !== null && records.refusalOf(there.stored) === undefined) {
      await this.#doubts.settle(loaded, there);
    }
    return there;
  }

  /** Whether the object may take the place of what is there as it is. */
  async #isFree(sid: string, there: Text, base: Held | undefined): Promise<boolean> {
    if (base !== undefined) return sameValue(there.stored, base.stored) && isWhole(base);
    // A new object finds another session: one that is over gives way.
    const { records, settings } = this.#context;
    const { session, created } = await records.parse(there.plain, sid);
    const now = Date.now();
    return isOver(settings.rules, session, sid, created ?? now, now);
  }

  /** Seals what is to be written; with another mark where an earlier write may still come. */
  async #attempt(
    { sid, isDoubted }: Loaded,
    { plain, ...rest }: Omit<Attempt, "text"> & { plain: Value | undefined },
  ): Promise<Attempt> {
    if (plain === undefined) return { ...rest, text: undefined };
    if (!isDoubted) return { ...rest, text: this.#sealed(plain, sid) };
    const mark = randomBytes(6).toString("base64url");
    const marked = await this.#context.records.marked(plain, sid, mark);
    return { ...rest, mark, isMarked: true, text: this.#sealed(marked, sid) };
  }

  /** A text that is there. One that counts as missing stays as it is. */
  #opened(stored: Value, sid: string): Text {
    const { records } = this.#context;
    const isRefused = records.refusalOf(stored) !== undefined;
    return { stored, plain: isRefused ? stored : records.open(stored, sid) };
  }

  #sealed(plain: Value, sid: string): Text {
    return { stored: this.#context.records.seal(plain, sid), plain };
  }

  /** When a session ends that is renewed as it is stored. */
  async #lifeOf(
    { plain }: Text,
    { sid, created: seen }: Loaded,
    entry: Membership | undefined,
  ): Promise<Lifetime> {
    const { records, settings, index } = this.#context;
    const { session, created = seen } = await records.parse(plain, sid);
    entry?.belongsTo(index?.storedUserOf(session));
    const now = Date.now();
    refreshExpires(settings.rules, session, created, now);
    return lifetime(settings.rules, session, sid, created, now, true);
  }

  /** Tells the index when a session ends that kept its life. */
  async #tellIndex(key: string, { entry, report }: Omit<Step, "turn">): Promise<void> {
    if (entry === undefined) return;
    report?.asked();
    const [size] = await this.#context.port.measure([key]);
    if (!size) return;
    entry.sent(size.left === Number.POSITIVE_INFINITY ? null : Date.now() + size.left);
  }

  /** After a save Redis holds this, and nothing is in doubt any longer. */
  #note(loaded: Loaded, held: Held, mark: string | undefined, { turn, report }: Step): void {
    report?.carried(held.stored);
    loaded.held = held;
    loaded.unanswered = NONE;
    loaded.isDoubted = false;
    loaded.mark = mark;
    turn.latest = held;
  }

  #gone(loaded: Loaded, reason: DiscardReason, step: Step): SaveResult {
    loaded.unanswered = NONE;
    loaded.isDoubted = false;
    return this.discard(loaded.sid, reason, step);
  }

  /** A session that is over is stored by removing it. */
  async #end(sid: string, step: Step): Promise<SaveResult> {
    step.report?.asked();
    await this.remove(sid);
    return this.discard(sid, "expired", step);
  }

  #doubt(
    loaded: Loaded,
    { text, own, mark, isMarked }: Attempt,
    before: Value | undefined,
    user: string | undefined,
    error: unknown,
  ): void {
    // Whether a renewal has happened matters to nobody but the next one.
    this.#context.renewals.forget(loaded.sid);
    if (text === undefined || own === undefined || !isInDoubt(error)) return;
    const held: Held = { ...text, own, isStale: false };
    this.#doubts.add(loaded, { held, before, mark: isMarked ? mark : undefined, user }, error);
  }

  #remember(sid: string, { stored }: Text, px: TimeToLive, sent: number, life: Lifetime): void {
    if (typeof px === "number") this.#context.renewals.remember(sid, stored, px, sent, life);
  }

  /** What a renewal or a compare-and-set asks for, in ms from now. */
  #px(life: Lifetime | undefined): TimeToLive {
    if (life === undefined) return "keep";
    return this.#context.settings.disableTTL ? null : pxOf(life, "relaxed");
  }
}

function conflictError(sid: string, timeout: number): StoreError {
  const message = `session ${shortSid(sid)} kept being changed by other processes for ${timeout} ms; nothing was stored, save it again`;
  return new StoreError("ERR_CONFLICT", message);
}

function notText(sid: string): StoreError {
  const message = `what Redis holds for ${shortSid(sid)} is not text in UTF-8; destroy it, or read it with a serializer that is binary`;
  return new StoreError("ERR_CORRUPT_SESSION", message);
}
