// Lets work on many sessions take turns: one piece at a time in a process.
import { setTimeout as delay } from "node:timers/promises";

/** A rest is so many times as long as the work before it. */
const REST = 3;
/** Longer than this no piece of work is rested from, in ms. */
const LONGEST_REST = 300;
/**
 * Pages are begun so many ms apart: 25 in a second, however many ask. Work is one thing; what it leaves
 * to the garbage collector stops the app too.
 */
const SPACE = 40;

class Turns {
  readonly #restAfter: (ms: number) => number;
  /** What the last one that had its turn waits for. */
  #last: Promise<unknown> = Promise.resolve();

  /** @param restAfter - for how long nobody has a turn after work of so many ms */
  constructor(restAfter: (ms: number) => number) {
    this.#restAfter = restAfter;
  }

  take<Result>(work: () => Promise<Result>, gone: AbortSignal): Promise<Result | undefined> {
    const done = this.#last.then(async () => {
      if (gone.aborted) return { result: undefined, rest: 0 };
      const begun = performance.now();
      const result = await work();
      return { result, rest: this.#restAfter(performance.now() - begun) };
    });
    this.#last = done.then(
      ({ rest }) => delay(rest),
      () => {},
    );
    return done.then(({ result }) => result);
  }
}

// Of all consoles of the process.
const working = new Turns((ms) => Math.min(REST * ms, LONGEST_REST));
const beginning = new Turns(() => SPACE);

/**
 * Does a piece of work on many sessions: one at a time in a process, each followed by a rest that is
 * longer. So most of the time is the app's, however many wait.
 *
 * @param work - a millisecond of it, or two: for so long the app waits
 * @returns what the work gives; `undefined` where nobody waits for it any more before its turn
 */
export function inTurn<Result>(
  work: () => Promise<Result>,
  gone: AbortSignal,
): Promise<Result | undefined> {
  return working.take(work, gone);
}

/** Waits until a page may be begun. Who asks alone does not wait. */
export async function turnToBegin(gone: AbortSignal): Promise<void> {
  await beginning.take(async () => {}, gone);
}
