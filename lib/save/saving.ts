// One save of a loaded object: what it wants Redis to hold, whatever turns out to be there.
import { randomBytes } from "node:crypto";
import type { Report } from "../base/index.js";
import {
  type Held,
  isOver,
  isWhole,
  type Loaded,
  sameValue,
  type Text,
  type Value,
} from "../session/index.js";
import type { Membership } from "../users/index.js";
import type { Attempt, Task } from "./agreement.js";
import type { Conflicts } from "./conflict.js";
import type { Doubts } from "./doubts.js";
import { fixationError, isFixation } from "./fixation.js";
import type { DiscardReason, Step, Wish, WriterContext } from "./step.js";

/** What settles what there is to write. */
export interface Judges extends WriterContext {
  readonly conflicts: Conflicts;
  readonly doubts: Doubts;
}

/**
 * One save of a loaded object, written where the session still is what it was, merged with what others
 * wrote otherwise. A new object is written where there is none.
 */
export class Saving implements Task {
  readonly sid: string;
  readonly entry: Membership | undefined;
  readonly report: Report | undefined;
  /** Why nothing was written, if nothing was. */
  reason: DiscardReason = "missing";
  /** Whether that was found out from what this process last wrote, and Redis has not said it. */
  isGuess = false;
  #last: Attempt | null = null;
  readonly #judges: Judges;
  readonly #loaded: Loaded;
  readonly #wish: Wish;
  readonly #step: Step;

  constructor(judges: Judges, loaded: Loaded, wish: Wish, step: Step) {
    this.sid = loaded.sid;
    this.entry = step.entry;
    this.report = step.report;
    this.#judges = judges;
    this.#loaded = loaded;
    this.#wish = wish;
    this.#step = step;
  }

  plan(there: Text | null): Attempt | null | Promise<Attempt | null> {
    const last = this.#last;
    // A client may send a command again. If another request has written the very same, it is as good.
    if (last?.text && there && sameValue(there.stored, last.text.stored)) {
      // It is there, whatever becomes of its renewal.
      const { text, own = text.plain } = last;
      this.#loaded.held = { ...text, own, isStale: false };
      this.#loaded.user = this.#wish.user;
      return { ...last, text: undefined, isFound: true };
    }
    return this.#planUndisputed(there) ?? this.#planAnew(there);
  }

  mayCreate(): boolean {
    return this.#loaded.held === undefined;
  }

  onRefused(reason: DiscardReason): void {
    this.reason = reason;
  }

  onFailed(error: unknown, attempt: Attempt, there: Text | null): void {
    this.#judges.doubts.failed(this.#loaded, attempt, there?.plain, this.#wish.user, error);
  }

  /** The usual case: the object takes the place of what it started from, and nothing is in doubt. */
  #planUndisputed(there: Text | null): Attempt | Promise<Attempt> | undefined {
    const { held, isDoubted } = this.#loaded;
    if (isDoubted || (there !== null && (held === undefined || !isSame(there, held)))) return;
    const own = this.#wish.own(held);
    return own instanceof Promise ? own.then((text) => this.#asItIs(text)) : this.#asItIs(own);
  }

  #asItIs(own: Value): Attempt {
    const text = this.#judges.records.toStore(own, this.sid);
    const attempt = { text, life: this.#wish.life, own, mark: this.#loaded.mark };
    this.#last = attempt;
    return attempt;
  }

  async #planAnew(there: Text | null): Promise<Attempt | null> {
    this.#last = await this.#settle(there);
    return this.#last;
  }

  async #settle(there: Text | null): Promise<Attempt | null> {
    const { conflicts, doubts, index, settings } = this.#judges;
    const loaded = this.#loaded;
    const { life, isRedated } = this.#wish;
    // Of a new object Redis may hold what its last write was to store. Nobody has said so yet.
    const guess = loaded.unanswered.at(-1)?.held;
    const base =
      there === null ? loaded.held : there === guess ? guess : await doubts.settle(loaded, there);
    // A logout without an answer may turn out to have happened.
    if (settings.users?.needsNewId && isFixation(loaded, this.#wish.user))
      throw fixationError(this.sid);
    this.entry?.belongsTo(this.#wish.user);
    const own = await this.#wish.own(base);
    if (there === null || (await this.#isFree(there, base))) {
      return this.#attempt(own, { life, own, mark: loaded.mark });
    }
    const resolution = await conflicts.resolve({ loaded, base, there, own, isRedated });
    if (resolution === null) {
      this.reason = "user-changed";
      this.isGuess = there === this.#step.turn.latest;
      return null;
    }
    this.entry?.belongsTo(index?.storedUserOf(resolution.session));
    const { plain, mark, report } = resolution;
    return this.#attempt(plain, { life: life && resolution.life, own, mark, report });
  }

  /** Whether the object may take the place of what is there as it is. */
  async #isFree(there: Text, base: Held | undefined): Promise<boolean> {
    if (base !== undefined) return isSame(there, base);
    // A new object finds another session: one that is over gives way.
    const { records, settings } = this.#judges;
    const { session, created } = await records.parse(there.plain, this.sid);
    const now = Date.now();
    return isOver(settings.rules, session, this.sid, created ?? now, now);
  }

  /** Seals what is to be written; with another mark where an earlier write may still come. */
  async #attempt(plain: Value | undefined, rest: Omit<Attempt, "text">): Promise<Attempt> {
    const { records } = this.#judges;
    const { sid } = this;
    if (plain === undefined) return { ...rest, text: undefined };
    if (!this.#loaded.isDoubted) return { ...rest, text: records.toStore(plain, sid) };
    const mark = randomBytes(6).toString("base64url");
    const marked = await records.marked(plain, sid, mark);
    return { ...rest, mark, isMarked: true, text: records.toStore(marked, sid) };
  }
}

/** Whether what is there is what an object started from, and nothing else. */
function isSame(there: Text, base: Held): boolean {
  return sameValue(there.stored, base.stored) && isWhole(base);
}
