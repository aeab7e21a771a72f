// Asks Redis for what is planned for a session, and plans anew for what it says is there instead.
import { performance } from "node:perf_hooks";
import { type Report, StoreError } from "../base/index.js";
import type { TimeToLive } from "../client/index.js";
import {
  type Lifetime,
  type MergeReport,
  pxOf,
  sameValue,
  shortSid,
  type Text,
  type Value,
} from "../session/index.js";
import type { Membership } from "../users/index.js";
import { COMPARE_AND_REMOVE, COMPARE_AND_RENEW, digestOf } from "./scripts.js";
import type { DiscardReason, WriterContext } from "./step.js";

/** What one round asks Redis to do with the key. */
export interface Attempt {
  /** The text to write; `undefined`: what is there holds everything already. */
  readonly text: Text | undefined;
  /** `undefined`: the life that the key has. */
  readonly life: Lifetime | undefined;
  /** What the object itself says; it may be less than the text. */
  readonly own?: Value | undefined;
  /** The mark of the text; perhaps one that it had before. */
  readonly mark?: string | undefined;
  /** Whether the mark is of this write alone. */
  readonly isMarked?: boolean;
  /** It was written: what is there needs a renewal at most, and nothing where others have gone on. */
  readonly isFound?: boolean;
  readonly report?: MergeReport | undefined;
}

/** What is to be done with a session, whatever it turns out to be. */
export interface Task {
  readonly sid: string;
  readonly entry: Membership | undefined;
  readonly report: Report | undefined;
  /**
   * What to ask for where this is there; `null`: nothing, and the session is left alone. At once where
   * nothing has to be waited for: most writes come here once.
   */
  plan(there: Text | null): Attempt | null | Promise<Attempt | null>;
  /** Whether the session is written where there is none, or one that counts as missing. */
  mayCreate?(): boolean;
  /** What is there counts as missing. */
  onRefused?(reason: DiscardReason): void;
  /** A command got no answer that was to put this attempt in the place of that text. */
  onFailed?(error: unknown, attempt: Attempt, there: Text | null): void;
}

/** What was done in the end, and the text that is there now. */
export interface Done {
  readonly attempt: Attempt;
  readonly text: Text;
  /** Whether the session was over and is removed. */
  readonly isOver: boolean;
}

/** What Redis answers: `true` or 1: done, `null` or 0: no such session, or what is there instead. */
type Reply = true | null | number | Value;

/** So many times a write is computed anew, however fast the other processes are. */
const MOST_ROUNDS = 1000;

/** Comes to an agreement with Redis about what it holds. */
export class Agreement {
  readonly #context: WriterContext;

  constructor(context: WriterContext) {
    this.#context = context;
  }

  /** Whether a session is over that has such a life. */
  isOver(life: Lifetime): boolean {
    return !this.#context.settings.disableTTL && life.exact <= Date.now();
  }

  /** What a renewal or a compare-and-set asks for, in ms from now. */
  px(life: Lifetime | undefined): TimeToLive {
    if (life === undefined) return "keep";
    return this.#context.settings.disableTTL ? null : pxOf(life, "relaxed");
  }

  /**
   * Does what is planned for the text that is there. The only loop of its kind.
   *
   * @param from - what Redis should hold; `null`: nothing
   * @returns `null` where there is no session, or nothing was planned
   */
  async reach(task: Task, from: Text | null): Promise<Done | null> {
    const { sid, report } = task;
    const { settings, records, renewals } = this.#context;
    const until = performance.now() + settings.timeout;
    let there = from;
    /** What was to be written is there, written by whomever; only its renewal is left to do. */
    let found: Done | undefined;
    for (let round = 1; ; round++) {
      const refusal = there === null ? undefined : records.refusalOf(there.stored);
      if (refusal !== undefined && !task.mayCreate?.()) {
        task.onRefused?.(refusal);
        return null;
      }
      const known = refusal === undefined ? there : null;
      const { keys } = records;
      const planned = task.plan(known);
      const attempt = planned instanceof Promise ? await planned : planned;
      // Under other keys what is there may count as missing, and is sealed in another way.
      if (records.keys !== keys) {
        if (performance.now() >= until) throw conflictError(sid, round);
        continue;
      }
      if (attempt === null) return null;
      const { life, text } = attempt;
      const isOver = life !== undefined && this.isOver(life);
      let reply: Reply;
      try {
        const px = this.px(life);
        const sent = performance.now();
        reply = await (isOver ? this.#end(task, there) : this.#send(task, there, text, px));
        if (reply === 1 || reply === true) {
          const now = (text ?? there) as Text;
          if (!isOver && life !== undefined && typeof px === "number") {
            renewals.remember(sid, now.stored, px, sent, life);
          } else if (isOver || life === undefined) renewals.forget(sid);
          return { attempt, text: now, isOver };
        }
      } catch (error) {
        if (!isOver) task.onFailed?.(error, attempt, known);
        throw error;
      }
      if (attempt.isFound) {
        renewals.forget(sid);
        found = { attempt, text: there as Text, isOver: false };
      }
      if (reply === null || typeof reply === "number") {
        if (found !== undefined || !task.mayCreate?.()) return found ?? null;
        there = null;
      } else {
        // It was compared as bytes: these are none that the client can give back as they are.
        if (there !== null && sameValue(reply, there.stored)) throw notText(sid);
        there = records.found(reply, sid);
        if (report !== undefined) report.conflicts++;
      }
      // What this very round was to write is there: only its renewal is left to do.
      const isWritten =
        text !== undefined && there !== null && sameValue(there.stored, text.stored);
      if (!isWritten && (round >= MOST_ROUNDS || performance.now() >= until)) {
        if (found === undefined) throw conflictError(sid, round);
        return found;
      }
    }
  }

  /** Puts a text in the place of what is there, or renews that. */
  #send(task: Task, there: Text | null, text: Text | undefined, px: TimeToLive): Promise<Reply> {
    const { port, settings } = this.#context;
    const { entry, report } = task;
    const key = settings.prefix + task.sid;
    report?.asked();
    if (there === null) return this.#create(task, key, text as Text, px);
    const onAgain = report && (() => report.asked());
    const written =
      text === undefined
        ? this.#renew(key, there, px, onAgain)
        : port.replace(key, there.stored, text.stored, px, onAgain);
    if (px !== "keep") entry?.sent(px && Date.now() + px);
    return written;
  }

  #renew(key: string, there: Text, px: TimeToLive, onAgain?: () => void): Promise<Reply> {
    const ms = px === "keep" || px === null ? "" : String(px);
    const args = [digestOf(there.stored), ms];
    return this.#context.port.run(COMPARE_AND_RENEW, key, args, onAgain);
  }

  async #create({ entry, report }: Task, key: string, text: Text, px: TimeToLive): Promise<Reply> {
    const { port } = this.#context;
    const created = port.set(key, text.stored, px, "new");
    if (px !== "keep") entry?.sent(px && Date.now() + px);
    if (await created) return true;
    report?.asked();
    return port.get(key);
  }

  /** Removes what is there. */
  async #end({ sid, report }: Task, there: Text | null): Promise<Reply> {
    const { port, settings } = this.#context;
    if (there === null) return true;
    report?.asked();
    const onAgain = report && (() => report.asked());
    const key = settings.prefix + sid;
    return port.run(COMPARE_AND_REMOVE, key, [digestOf(there.stored)], onAgain);
  }
}

function conflictError(sid: string, rounds: number): StoreError {
  const message = `session ${shortSid(sid)} was changed by other processes before each of ${rounds} tries to save it; nothing was stored, save it again`;
  return new StoreError("ERR_CONFLICT", message);
}

function notText(sid: string): StoreError {
  const message = `what Redis holds for ${shortSid(sid)} is not text in UTF-8; destroy it, or read it with a serializer that is binary`;
  return new StoreError("ERR_CORRUPT_SESSION", message);
}
