// Keeps the writes of an object that got no answer, and finds out what became of them.
import { addNewest } from "../base/index.js";
import { isInDoubt, lateAnswerOf, wasSent } from "../client/index.js";
import {
  type Held,
  hasLanded,
  type Loaded,
  NONE,
  type Renewals,
  sameValue,
  type Text,
  type Unanswered,
  type Value,
  type Version,
  type Versions,
} from "../session/index.js";
import type { Attempt } from "./agreement.js";
import { digestOf } from "./scripts.js";

/** So many writes of one object may be without an answer; before another one Redis is asked. */
const MOST = 4;

/** A session that was to be made by writes without an answer. */
interface First {
  /** `undefined` where that was an object made by hand. */
  readonly loaded: WeakRef<Loaded> | undefined;
  /** The digests of what those writes were to store. */
  readonly texts: readonly string[];
}

/** So many new sessions are remembered whose first save has no answer; of more the oldest are forgotten. */
const MOST_FIRST = 10_000;

/** The reply of a write that has happened: of a script, of SET. */
const DONE: ReadonlySet<unknown> = new Set([1, "1", "OK"]);

/**
 * What is in doubt of an object. To act as if a write without an answer had not happened loses
 * data: the next save finds it and takes it for somebody else's.
 */
export class Doubts {
  readonly #versions: Versions;
  readonly #renewals: Renewals;
  /** By the session's id. */
  readonly #first = new Map<string, First>();

  constructor(versions: Versions, renewals: Renewals) {
    this.#versions = versions;
    this.#renewals = renewals;
  }

  /** Whether Redis has to be asked before another write is sent. */
  isFull({ unanswered }: Loaded): boolean {
    return unanswered.length >= MOST;
  }

  /**
   * A command failed with `error`. What it was to write is remembered, if that may have happened.
   *
   * @param before - the plain text that was to be replaced; `undefined`: there was none
   * @param user - whose session it was to be
   */
  failed(
    loaded: Loaded,
    { text, own, mark, isMarked }: Attempt,
    before: Value | undefined,
    user: string | undefined,
    error: unknown,
  ): void {
    // Whether a renewal has happened matters to nobody but the next one.
    this.#renewals.forget(loaded.sid);
    if (text === undefined || own === undefined || !isInDoubt(error)) return;
    const held: Held = { ...text, own, isStale: false };
    this.#add(loaded, { held, before, mark: isMarked ? mark : undefined, user }, error);
  }

  /** Remembers a write, the newest ones of an object, and listens for its answer. */
  #add(loaded: Loaded, write: Omit<Unanswered, "hasLanded">, error: unknown): void {
    const open: Unanswered = { ...write, hasLanded: false };
    loaded.unanswered = [...loaded.unanswered, open].slice(-MOST);
    loaded.isDoubted = true;
    if (loaded.held === undefined) this.mayCreate(loaded.sid, write.held.stored, loaded);
    void lateAnswerOf(error)?.then((answer) => {
      if (answer.status === "rejected") {
        if (!wasSent(answer.reason)) drop(loaded, open);
      } else if (DONE.has(Buffer.isBuffer(answer.value) ? String(answer.value) : answer.value)) {
        open.hasLanded = true;
      }
      // Any other answer proves nothing: a client may have sent it twice, and this is the second answer.
    });
  }

  /** Remembers that a session is perhaps made, of that text, or will be. */
  mayCreate(sid: string, stored: Value, loaded?: Loaded): void {
    const texts = [...(this.#first.get(sid)?.texts ?? []), digestOf(stored)].slice(-MOST);
    const first = { loaded: loaded && new WeakRef(loaded), texts };
    addNewest(this.#first, sid, first, MOST_FIRST);
  }

  /**
   * The app has ended a session. A new one may have been stored: it counts as if it was, so that no
   * later save of the same object stores it as a first one.
   *
   * @returns the digests of what writes without an answer may still make of it, where it was new
   */
  ended(sid: string): readonly string[] {
    const first = this.#first.size > 0 ? this.#first.get(sid) : undefined;
    if (first === undefined) return [];
    const loaded = first.loaded?.deref();
    const last = loaded?.unanswered.at(-1);
    if (loaded !== undefined && loaded.held === undefined && last !== undefined) {
      loaded.held = last.held;
      loaded.user = last.user;
      loaded.unanswered = NONE;
    }
    return first.texts;
  }

  /** Takes late answers into account. */
  hear(loaded: Loaded): void {
    if (loaded.unanswered.length === 0) return;
    const latest = loaded.unanswered.findLastIndex(({ hasLanded }) => hasLanded);
    const landed = loaded.unanswered[latest];
    if (landed === undefined) return;
    loaded.held = landed.held;
    loaded.user = landed.user;
    loaded.unanswered = loaded.unanswered.slice(latest + 1);
    // What shows of those that came after it must be more than what it has written itself.
    for (const later of loaded.unanswered) later.before = landed.held.plain;
  }

  /**
   * Settles by what Redis holds what the object started from: the newest of its writes that has
   * landed, or else what it was before.
   */
  async settle(loaded: Loaded, there: Text): Promise<Held | undefined> {
    const { unanswered, held } = loaded;
    if (unanswered.length === 0) return held;
    const newestFirst = [...unanswered].reverse();
    let landed = newestFirst.find((one) => sameValue(one.held.stored, there.stored));
    // It may still happen.
    if (landed === undefined && held && sameValue(held.stored, there.stored)) return held;
    if (landed === undefined) {
      const current = await this.#versions.of(there.plain, loaded);
      for (const [age, one] of newestFirst.entries()) {
        if (!(await this.#isIn(one, current, loaded))) continue;
        const older = newestFirst[age + 1];
        const isOnTop =
          older !== undefined &&
          one.before !== undefined &&
          sameValue(older.held.plain, one.before);
        // It has landed only if the one has that it was to replace: both together have to show.
        if (isOnTop && !(await this.#isIn({ ...one, before: older.before }, current, loaded)))
          continue;
        landed = one;
        if (older === undefined) break;
        // What is found of it may be of the one before: then it has to show something of its own.
        if (await this.#isIn({ ...one, before: older.held.plain }, current, loaded)) break;
      }
    }
    if (landed === undefined) return held;
    loaded.held = landed.held;
    loaded.user = landed.user;
    loaded.unanswered = NONE;
    return landed.held;
  }

  /** Whether what somebody else wrote stands on top of a write. */
  async #isIn({ held, before, mark }: Unanswered, current: Version, loaded: Loaded) {
    if (mark !== undefined && mark === current.mark) return true;
    const [old, written] = [
      await this.#versions.of(before, loaded),
      await this.#versions.of(held.plain, loaded),
    ];
    return hasLanded(old.session, written.session, current.session);
  }
}

function drop(loaded: Loaded, write: Unanswered): void {
  loaded.unanswered = loaded.unanswered.filter((one) => one !== write);
}
