// Lets work on many sessions take turns: one piece at a time in a process.
import { setTimeout as delay } from "node:timers/promises";

/** A rest is so many times as long as the work before it: the app has three quarters of the time. */
const REST = 3;
/** Longer than this no piece of work is rested from, in ms. */
const LONGEST_REST = 300;

/** What the last one that had its turn waits for, of all consoles of the process. */
let last: Promise<unknown> = Promise.resolve();

/**
 * Does work on many sessions: one piece at a time in a process, each followed by a rest that is
 * longer. So most of the time is the app's, however many wait.
 *
 * @returns what the work gives; `undefined` where its client is gone before its turn
 */
export function inTurn<Result>(
  work: () => Promise<Result>,
  gone: AbortSignal,
): Promise<Result | undefined> {
  const before = last;
  const done = before.then(async () => {
    if (gone.aborted) return { result: undefined, rest: 0 };
    const begun = performance.now();
    const result = await work();
    return { result, rest: Math.min(REST * (performance.now() - begun), LONGEST_REST) };
  });
  last = done.then(
    ({ rest }) => delay(rest),
    () => {},
  );
  return done.then(({ result }) => result);
}
