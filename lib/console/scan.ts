// Looks through all sessions: one scan at a time in a process, its result shared, stopped when nobody waits.
import { setTimeout as delay } from "node:timers/promises";
import type { RedisStore } from "../index.js";
import type { UserOf } from "./listed.js";
import { type Seen, Tally } from "./tally.js";
import { inTurn } from "./turns.js";

/** For so long is a result given to who asks again, in ms. */
export const SHARED = 5000;
/** So many sessions are read in one step: about half a millisecond of work, for the app and for Redis. */
export const STEP = 25;

/** The scan that is at work in this process, and those that wait for it. */
let scanning: Promise<void> = Promise.resolve();

class Run {
  readonly tally: Tally;
  readonly #stop = new AbortController();
  readonly done: Promise<void>;
  /** What is seen by those who wait for so many ms, the first of them counts. */
  readonly #looks = new Map<number, Promise<Seen>>();
  waiting = 0;

  constructor(store: RedisStore, userOf: UserOf | undefined) {
    this.tally = new Tally(userOf);
    this.done = scanning.then(() => this.#walk(store));
    scanning = this.done.catch(() => {});
  }

  stop(): void {
    this.#stop.abort();
  }

  /** What there is when the first who waits for so long has waited for so long, or at the end. */
  after(patience: number): Promise<Seen> {
    const there = this.#looks.get(patience);
    if (there !== undefined) return there;
    const end = endOf(patience, this.#stop.signal, this.done);
    const look = Promise.race([this.done, end]).then(() => {
      this.#looks.delete(patience);
      return this.tally.seen();
    });
    this.#looks.set(patience, look);
    return look;
  }

  async #walk(store: RedisStore): Promise<void> {
    const { signal } = this.#stop;
    let cursor: string | null = null;
    do {
      const page = await inTurn(() => store.page({ cursor, limit: STEP }), signal);
      if (page === undefined || signal.aborted) return;
      this.tally.add(page);
      cursor = page.cursor;
    } while (cursor !== null);
    this.tally.isWhole = true;
  }
}

/** The scans over one store. */
export class Scan {
  readonly #store: RedisStore;
  readonly #userOf: UserOf | undefined;
  #run: Run | undefined;
  #result: { seen: Seen; patience: number; until: number } | undefined;

  constructor(store: RedisStore, userOf: UserOf | undefined) {
    this.#store = store;
    this.#userOf = userOf;
  }

  /**
   * What there is, as far as a scan gets.
   *
   * @param patience - for how long this one waits at most, in ms; then it gets what was seen until then
   * @param gone - that the one who asked no longer waits
   * @returns `undefined`: the one who asked is gone
   */
  async look(patience: number, gone: AbortSignal): Promise<Seen | undefined> {
    const result = this.#result;
    if (result !== undefined && performance.now() < result.until) {
      if (result.seen.isWhole || result.patience >= patience) return result.seen;
    }
    this.#run ??= new Run(this.#store, this.#userOf);
    const run = this.#run;
    run.waiting++;
    try {
      const seen = await Promise.race([run.after(patience), aborted(gone)]);
      if (seen === undefined || gone.aborted) return undefined;
      this.#result = { seen, patience, until: performance.now() + SHARED };
      return seen;
    } finally {
      run.waiting--;
      if (run.waiting === 0) run.stop();
      if (run.waiting === 0 && this.#run === run) this.#run = undefined;
    }
  }
}

function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });
}

/** The end of somebody's patience, or of the whole scan. */
async function endOf(ms: number, stopped: AbortSignal, scan: Promise<void>): Promise<void> {
  const over = new AbortController();
  const end = () => over.abort();
  stopped.addEventListener("abort", end);
  scan.then(end, end);
  await delay(ms, undefined, { signal: over.signal }).catch(() => {});
  stopped.removeEventListener("abort", end);
}
