// Counts sessions by age, time left and size, and keeps the largest.
import { Distinct, Largest } from "../base/index.js";
import type { SessionEntry, SessionPage } from "../index.js";
import type { Row } from "./charts.js";
import { type Listed, listed, type UserOf } from "./listed.js";

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
  /** When that was. */
  readonly at: number;
  readonly sessions: number;
  /** Of them, how many have a user, and of how many users; `undefined` where nobody says who that is. */
  readonly ofUsers: { readonly sessions: number; readonly users: number } | undefined;
  /** How many keys hold no session that can be read. */
  readonly unreadable: number;
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

export class Tally {
  readonly #userOf: UserOf | undefined;
  #sessions = 0;
  #ofUsers = 0;
  readonly #users = new Distinct();
  #unreadable = 0;
  #bytes = 0;
  readonly #ages = AGES.map(() => 0);
  readonly #lefts = LEFTS.map(() => 0);
  readonly #sizes = SIZES.map(() => 0);
  readonly #keys = new Map<string | null, number>();
  // A scan may meet a session twice.
  readonly #largest = new Largest<Listed>(LARGEST, bytesOf, sidOf);
  isWhole = false;

  constructor(userOf: UserOf | undefined) {
    this.#userOf = userOf;
  }

  /** Counts what one step of a listing gave. */
  add({ entries, unreadable }: SessionPage): void {
    this.#unreadable += unreadable;
    for (const entry of entries) this.#add(entry);
  }

  #add(entry: SessionEntry): void {
    const now = Date.now();
    this.#sessions++;
    const user = this.#userOf?.(entry.session);
    if (user !== undefined) {
      this.#ofUsers++;
      this.#users.add(user);
    }
    this.#bytes += entry.bytes;
    raise(this.#ages, AGES, entry.created === null ? Number.NaN : now - entry.created.getTime());
    raise(
      this.#lefts,
      LEFTS,
      entry.expires === null ? Number.MAX_VALUE : entry.expires.getTime() - now,
    );
    raise(this.#sizes, SIZES, entry.bytes);
    this.#keys.set(entry.keyId, (this.#keys.get(entry.keyId) ?? 0) + 1);
    if (this.#largest.takes(entry.bytes)) this.#largest.add(listed(entry, this.#userOf));
  }

  seen(): Seen {
    return {
      at: Date.now(),
      sessions: this.#sessions,
      ofUsers: this.#userOf && { sessions: this.#ofUsers, users: this.#users.count },
      unreadable: this.#unreadable,
      bytes: this.#bytes,
      ages: rowsOf(AGES, this.#ages),
      lefts: rowsOf(LEFTS, this.#lefts),
      sizes: rowsOf(SIZES, this.#sizes),
      keys: new Map(this.#keys),
      largest: [...this.#largest.things],
      isWhole: this.isWhole,
    };
  }
}

const bytesOf = (one: Listed) => one.bytes;
const sidOf = (one: Listed) => one.sid;

/** What is no number goes to the bucket of its own at the end. */
function raise(counts: number[], buckets: readonly Bucket[], value: number): void {
  const found = buckets.findIndex(([, below]) => value < below);
  const index = found === -1 ? buckets.length - 1 : found;
  counts[index] = (counts[index] ?? 0) + 1;
}

function rowsOf(buckets: readonly Bucket[], counts: readonly number[]): Row[] {
  return buckets.map(([label], index) => [label, counts[index] ?? 0]);
}
