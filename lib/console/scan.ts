// Counts sessions: one scan at a time in a process, its result shared, stopped when nobody waits.
import { setTimeout as delay } from "node:timers/promises";
import type { RedisStore, SessionEntry } from "../index.js";
import type { Row } from "./charts.js";

/** For so long is a result given to who asks again, in ms. */
const SHARED = 5000;
/** So many sessions are read in one step: less than a millisecond of work. */
const STEP = 50;
/** Longer than this no step is rested from, in ms. */
const LONGEST_REST = 100;
const LARGEST = 5;

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

type Bucket = readonly [label: string, below: number];

const AGES: readonly Bucket[] = [
  ["under 1 h", HOUR],
  ["1 to 24 h", DAY],
  ["1 to 7 days", 7 * DAY],
  ["7 to 30 days", 30 * DAY],
  ["older", Number.POSITIVE_INFINITY],
  ["not noted", Number.NaN],
];
const LEFTS: readonly Bucket[] = [
  ["under 10 min", 10 * MINUTE],
  ["10 to 60 min", HOUR],
  ["1 to 24 h", DAY],
  ["1 to 7 days", 7 * DAY],
  ["longer", Number.MAX_VALUE],
  ["no end", Number.POSITIVE_INFINITY],
];
const SIZES: readonly Bucket[] = [
  ["under 250 B", 250],
  ["250 B to 1 kB", 1000],
  ["1 to 4 kB", 4000],
  ["4 to 16 kB", 16_000],
  ["16 to 64 kB", 64_000],
  ["more", Number.POSITIVE_INFINITY],
];

/** What a scan has seen so far. */
export interface Seen {
  readonly sessions: number;
  /** Of them, how many have a user; `undefined` where nobody says who that is. */
  readonly ofUsers: number | undefined;
  readonly bytes: number;
  readonly ages: readonly Row[];
  readonly lefts: readonly Row[];
  readonly sizes: readonly Row[];
  /** How many are sealed under which key; `null`: plain. */
  readonly keys: ReadonlyMap<string | null, number>;
  /** The largest ones first. */
  readonly largest: readonly Listed[];
  /** Whether it saw all of them. */
  readonly isWhole: boolean;
}

/** What a listing tells of a session, without what is in it. */
export interface Listed {
  readonly sid: string;
  readonly handle: string;
  readonly user: string | undefined;
  readonly created: number | null;
  readonly expires: number | null;
  readonly bytes: number;
  readonly keyId: string | null;
  /** When it was listed. */
  readonly at: number;
}

/** Whose session it is, as text. */
export type UserOf = (session: SessionEntry["session"]) => string | undefined;

/** The facts of a row. */
export function listed(entry: SessionEntry, userOf: UserOf | undefined): Listed {
  return {
    sid: entry.sid,
    handle: entry.handle,
    user: userOf?.(entry.session),
    created: entry.created?.getTime() ?? null,
    expires: entry.expires?.getTime() ?? null,
    bytes: entry.bytes,
    keyId: entry.keyId,
    at: Date.now(),
  };
}

class Tally {
  readonly #userOf: UserOf | undefined;
  #sessions = 0;
  #ofUsers = 0;
  #bytes = 0;
  readonly #ages = AGES.map(() => 0);
  readonly #lefts = LEFTS.map(() => 0);
  readonly #sizes = SIZES.map(() => 0);
  readonly #keys = new Map<string | null, number>();
  #largest: Listed[] = [];
  isWhole = false;

  constructor(userOf: UserOf | undefined) {
    this.#userOf = userOf;
  }

  add(entry: SessionEntry): void {
    const now = Date.now();
    this.#sessions++;
    if (this.#userOf?.(entry.session) !== undefined) this.#ofUsers++;
    this.#bytes += entry.bytes;
    raise(this.#ages, AGES, entry.created === null ? Number.NaN : now - entry.created.getTime());
    raise(
      this.#lefts,
      LEFTS,
      entry.expires === null ? Number.MAX_VALUE : entry.expires.getTime() - now,
    );
    raise(this.#sizes, SIZES, entry.bytes);
    this.#keys.set(entry.keyId, (this.#keys.get(entry.keyId) ?? 0) + 1);
    if (this.#largest.length < LARGEST || entry.bytes > (this.#largest.at(-1)?.bytes ?? 0)) {
      // A scan may meet a session twice.
      if (this.#largest.some(({ sid }) => sid === entry.sid)) return;
      this.#largest.push(listed(entry, this.#userOf));
      this.#largest.sort((a, b) => b.bytes - a.bytes);
      this.#largest = this.#largest.slice(0, LARGEST);
    }
  }

  seen(): Seen {
    return {
      sessions: this.#sessions,
      ofUsers: this.#userOf && this.#ofUsers,
      bytes: this.#bytes,
      ages: rowsOf(AGES, this.#ages),
      lefts: rowsOf(LEFTS, this.#lefts),
      sizes: rowsOf(SIZES, this.#sizes),
      keys: new Map(this.#keys),
      largest: [...this.#largest],
      isWhole: this.isWhole,
    };
  }
}

/** What is no number goes to the bucket of its own at the end. */
function raise(counts: number[], buckets: readonly Bucket[], value: number): void {
  const found = buckets.findIndex(([, below]) => value < below);
  const index = found === -1 ? buckets.length - 1 : found;
  counts[index] = (counts[index] ?? 0) + 1;
}

function rowsOf(buckets: readonly Bucket[], counts: readonly number[]): Row[] {
  return buckets.map(([label], index) => [label, counts[index] ?? 0]);
}

/** What the last one that had its turn waits for, of all consoles of the process. */
let last: Promise<unknown> = Promise.resolve();

/**
 * Does work on many sessions: one piece at a time in a process, each followed by a rest as long as it
 * took. So the app has half of the time, however many wait.
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
    return { result, rest: Math.min(performance.now() - begun, LONGEST_REST) };
  });
  last = done.then(
    ({ rest }) => delay(rest),
    () => {},
  );
  return done.then(({ result }) => result);
}

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
      for (const entry of page.entries) this.tally.add(entry);
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
