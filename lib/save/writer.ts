// The commands by which sessions are written, and what their replies mean.
import { performance } from "node:perf_hooks";
import { isInDoubt, type TimeToLive } from "../client/index.js";
import type { Ending } from "../endings/index.js";
import {
  type Held,
  isWhole,
  type Lifetime,
  type Loaded,
  lifetime,
  NONE,
  pxOf,
  refreshExpires,
  sameValue,
  type Text,
  type Value,
} from "../session/index.js";
import type { Membership } from "../users/index.js";
import { Agreement, type Attempt, type Task } from "./agreement.js";
import { type Judges, Saving } from "./saving.js";
import { COMPARE_AND_REMOVE, digestOf } from "./scripts.js";
import type { DiscardReason, SaveResult, Step, Wish } from "./step.js";
import type { Turn } from "./turns.js";

/** Writes sessions, each when its turn has come. */
export class Writer {
  readonly #context: Judges;
  readonly #agreement: Agreement;

  constructor(context: Judges) {
    this.#context = context;
    this.#agreement = new Agreement(context);
  }

  /** Writes a session whatever Redis holds. */
  async set(sid: string, plain: Value, life: Lifetime, step: Step): Promise<SaveResult> {
    const { port, settings, records, renewals } = this.#context;
    if (this.isOver(life)) return this.#end(sid, step);
    // It may shorten the life before its answer comes.
    renewals.forget(sid);
    const text = records.toStore(plain, sid);
    const px = settings.disableTTL ? null : pxOf(life, "exact");
    const sent = performance.now();
    step.report?.asked();
    const written = port.set(settings.prefix + sid, text.stored, px);
    step.entry?.sent(px && Date.now() + px);
    try {
      await written;
    } catch (error) {
      if (isInDoubt(error)) this.#context.doubts.mayCreate(sid, text.stored);
      throw error;
    }
    step.report?.carried(text.stored);
    this.#remember(sid, text, px, sent, life);
    step.turn.latest = text;
    return "OK";
  }

  /** Writes a row of `all()` where its key still is. */
  async setListed(sid: string, plain: Value, step: Step): Promise<SaveResult> {
    const { port, settings, records, renewals } = this.#context;
    renewals.forget(sid);
    const text = records.toStore(plain, sid);
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
    const { port, settings, records, doubts } = this.#context;
    const { sid, held } = loaded;
    const { life } = wish;
    if (life && this.isOver(life)) return this.#end(sid, step);
    const own = await wish.own(held);
    // Not before: the keys may have changed meanwhile.
    const refusal = held && records.refusalOf(held.stored);
    if (refusal !== undefined) return this.#gone(loaded, refusal, step);
    const text = records.toStore(own, sid);
    const key = settings.prefix + sid;
    const px = this.#agreement.px(life);
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
      doubts.failed(loaded, attempt, held?.plain, wish.user, error);
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
    const { settings, doubts } = this.#context;
    const { sid } = loaded;
    doubts.hear(loaded);
    const from = doubts.isFull(loaded)
      ? await this.#ask(loaded, step)
      : believed(loaded, step.turn);
    if (from === null && loaded.held !== undefined) return this.#gone(loaded, "missing", step);
    const saving = new Saving(this.#context, loaded, wish, step);
    const done = await this.#agreement.reach(saving, from);
    if (done === null && saving.isGuess) {
      // What this process last wrote need not be there any longer, so Redis has not said it yet.
      step.turn.latest = undefined;
      return this.save(loaded, wish, step);
    }
    if (done === null) return this.#gone(loaded, saving.reason, step);
    if (done.isOver) return this.#gone(loaded, "expired", step);
    const { stored, plain } = done.text;
    const { own = plain, mark, life, report } = done.attempt;
    this.#note(loaded, { stored, plain, own, isStale: false }, mark, step);
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
      const px = this.#agreement.px(life);
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
    const plan: Task["plan"] = (known) => {
      const there = known as Text;
      const text = records.isCurrent(there.stored) ? undefined : records.toStore(there.plain, sid);
      // After a merge, or another save in this process, the session's cookie may not be the object's.
      const isOwn = held !== undefined && sameValue(there.stored, held.stored) && isWhole(held);
      if (isOwn || life === undefined) return { text, life };
      return this.#lifeOf(there, loaded, entry).then((its) => ({ text, life: its }));
    };
    const done = await this.#agreement.reach({ sid, entry, report, plan }, from);
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
  async remove(sid: string, ending?: Ending): Promise<number> {
    const { port, settings, renewals, index, endings } = this.#context;
    const remove = () =>
      index === undefined ? port.remove(settings.prefix + sid) : index.remove(sid);
    try {
      return await (ending === undefined ? remove() : endings.end([sid], ending, remove));
    } finally {
      renewals.end(sid);
    }
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
    return this.#agreement.isOver(life);
  }

  /** What Redis holds before a save, where too much is in doubt to go on without that. */
  async #ask(loaded: Loaded, { report }: Step): Promise<Text | null> {
    const { port, records, settings, doubts } = this.#context;
    const { sid } = loaded;
    report?.asked();
    const stored = await port.get(settings.prefix + sid);
    const there = stored === null ? null : records.found(stored, sid);
    if (there !== null && records.refusalOf(there.stored) === undefined) {
      await doubts.settle(loaded, there);
    }
    return there;
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
    entry.kept(size.left === Number.POSITIVE_INFINITY ? null : Date.now() + size.left);
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

  #remember(sid: string, { stored }: Text, px: TimeToLive, sent: number, life: Lifetime): void {
    if (typeof px === "number") this.#context.renewals.remember(sid, stored, px, sent, life);
  }
}
/** What Redis should hold before a save; `null`: nothing. */
function believed({ held, unanswered }: Loaded, { latest }: Turn): Text | null {
  return latest ?? held ?? unanswered.at(-1)?.held ?? null;
}
