// Looks through all sessions: one scan at a time in a process, its result shared, stopped when nobody waits.
import { setTimeout as delay } from "node:timers/promises";
import type { RedisStore } from "../index.js";
import type { UserOf } from "./listed.js";
import { type Seen, Tally } from "./tally.js";
import { inTurn } from "./turns.js";

/** For so long is a result given to who asks again, in ms. */
const SHARED = 5000;
/** So many sessions are read in one step: less than a millisecond of work. */
const STEP = 50;

/** The scan that is at work in this process, and those that wait for it. */
let scanning: Promise<void> = Promise.resolve();

class Run {
  readonly tally: Tally;
  readonly #stop = new AbortController();
  readonly done: Promise<void>;
  waiting = 0;

  constructor(store: RedisStore, userOf: UserOf | undefined) {
    this.tally = new Tally(userOf);
    this.done = scanning.then(() => this.#walk(store));
    scanning = this.done.catch(() => {});
  }

  stop(): void {
    this.#stop.abort();
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
   * @param patience - for how long this one waits, in ms; then it gets what was seen until then
   * @param gone - that the one who asked no longer waits
   */
  async look(patience: number, gone: AbortSignal): Promise<Seen> {
    const result = this.#result;
    if (result !== undefined && performance.now() < result.until) {
      if (result.seen.isWhole || result.patience >= patience) return result.seen;
    }
    this.#run ??= new Run(this.#store, this.#userOf);
    const run = this.#run;
    run.waiting++;
    try {
      await Promise.race([run.done, endOf(patience, gone, run.done)]);
      const seen = run.tally.seen();
      if (!gone.aborted) this.#result = { seen, patience, until: performance.now() + SHARED };
      return seen;
    } finally {
      run.waiting--;
      if (run.waiting === 0) run.stop();
      if (run.waiting === 0 && this.#run === run) this.#run = undefined;
    }
  }
}

/** The end of somebody's patience, or of the whole scan. */
async function endOf(ms: number, gone: AbortSignal, scan: Promise<void>): Promise<void> {
  const over = new AbortController();
  const end = () => over.abort();
  gone.addEventListener("abort", end);
  scan.then(end, end);
  await delay(ms, undefined, { signal: over.signal }).catch(() => {});
  gone.removeEventListener("abort", end);
}
