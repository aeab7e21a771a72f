// What was counted of one store.
import type { EventMessage, OperationMessage, OperationName, Outcome } from "../index.js";

/** Upper bounds of the histograms, in seconds: from a read in memory to the default `timeout` and more. */
export const BOUNDS: readonly number[] = [
  0.00001, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5,
  5,
];

/** Operations of one kind that ended alike. */
export interface Counted {
  readonly count: number;
  /** How long all of them took together. */
  readonly seconds: number;
  /** How many took at most so long: an upper bound in seconds, and how many, from small to large. */
  readonly buckets: readonly (readonly [bound: number, count: number])[];
}

/** What was counted of one store since `collectMetrics()`. */
export interface StoreMetrics {
  /** Whether Redis answers, asked just now; `undefined` where there is no such store any longer. */
  readonly up: boolean | undefined;
  /** How many operations ended how, and how long they took. */
  readonly operations: Readonly<Record<OperationName, Partial<Record<Outcome, Counted>>>>;
  /** How many operations failed with which code. */
  readonly errors: Readonly<Record<OperationName, Readonly<Record<string, number>>>>;
  /** How many answers of Redis were waited for. */
  readonly roundTrips: Readonly<Record<OperationName, number>>;
  /** How much session text was read by `get` and written by `set`. */
  readonly bytes: Readonly<Record<OperationName, number>>;
  /** How many times a save found that somebody else had written the session. */
  readonly conflicts: number;
  /** How many saves kept what another writer had changed. */
  readonly merges: number;
  /** How many values of other writers they kept. */
  readonly kept: number;
  /** How many values of other writers saves overwrote, those that kept none as well. */
  readonly overwritten: number;
  /** How many saves were not written, by the reason. */
  readonly discards: Readonly<Record<string, number>>;
  /** How many sessions were ended on purpose, by the reason. */
  readonly endings: Readonly<Record<string, number>>;
  /** How many stored values that are no session a listing met. */
  readonly corrupt: number;
  /** How many logins kept the id of an anonymous session. */
  readonly fixations: number;
  /** How many times Redis went down. */
  readonly outages: number;
}

/** What was counted, by the name of the store. */
export type MetricsSnapshot = Readonly<Record<string, StoreMetrics>>;

type Tally = Record<string, number>;

class Timings {
  count = 0;
  seconds = 0;
  readonly #within: number[] = new Array(BOUNDS.length).fill(0);

  add(seconds: number): void {
    this.count++;
    this.seconds += seconds;
    const bucket = BOUNDS.findIndex((bound) => seconds <= bound);
    if (bucket !== -1) (this.#within[bucket] as number)++;
  }

  counted(): Counted {
    let sum = 0;
    const buckets = BOUNDS.map((bound, index) => {
      sum += this.#within[index] as number;
      return [bound, sum] as const;
    });
    return { count: this.count, seconds: this.seconds, buckets };
  }
}

const each = <Kept>(make: () => Kept): Record<OperationName, Kept> => ({
  get: make(),
  set: make(),
  touch: make(),
  destroy: make(),
});

/** Names that a user gives must not be taken for members of Object. */
const tally = (...names: string[]): Tally =>
  Object.assign(Object.create(null), Object.fromEntries(names.map((name) => [name, 0])));

const raise = (counts: Tally, name: string): void => {
  counts[name] = (counts[name] ?? 0) + 1;
};

/** Counts what one store does. What may ever be counted begins at 0, so that its first time shows. */
export class Counts {
  readonly #timings = each(() => new Map<Outcome, Timings>());
  readonly #errors = each(() => tally());
  readonly #roundTrips = each(() => 0);
  readonly #bytes = each(() => 0);
  readonly #discards = tally("missing", "expired", "user-changed", "plaintext", "revoked");
  readonly #endings = tally("logout", "regenerated", "revoked", "limit");
  readonly #sums = {
    conflicts: 0,
    merges: 0,
    kept: 0,
    overwritten: 0,
    corrupt: 0,
    fixations: 0,
    outages: 0,
  };

  operation(message: OperationMessage): void {
    const { operation, seconds = 0, roundTrips, bytes, conflicts, overwritten, code } = message;
    const outcome = message.outcome as Outcome;
    const timings = this.#timings[operation];
    let timing = timings.get(outcome);
    if (timing === undefined) {
      timing = new Timings();
      timings.set(outcome, timing);
    }
    timing.add(seconds);
    if (code !== undefined) raise(this.#errors[operation], code);
    this.#roundTrips[operation] += roundTrips;
    this.#bytes[operation] += bytes;
    this.#sums.conflicts += conflicts;
    this.#sums.overwritten += overwritten;
  }

  event(message: EventMessage): void {
    switch (message.event) {
      case "merged":
        this.#sums.merges++;
        this.#sums.kept += message.kept;
        break;
      case "discarded":
        raise(this.#discards, message.reason);
        break;
      case "ended":
        raise(this.#endings, message.reason);
        break;
      case "corrupt":
        this.#sums.corrupt++;
        break;
      case "fixation":
        this.#sums.fixations++;
        break;
      case "down":
        this.#sums.outages++;
        break;
      default:
    }
  }

  snapshot(up: boolean | undefined): StoreMetrics {
    const timed = (operation: OperationName) =>
      Object.fromEntries(
        [...this.#timings[operation]].map(([outcome, timing]) => [outcome, timing.counted()]),
      );
    return {
      up,
      operations: {
        get: timed("get"),
        set: timed("set"),
        touch: timed("touch"),
        destroy: timed("destroy"),
      },
      errors: {
        get: { ...this.#errors.get },
        set: { ...this.#errors.set },
        touch: { ...this.#errors.touch },
        destroy: { ...this.#errors.destroy },
      },
      roundTrips: { ...this.#roundTrips },
      bytes: { ...this.#bytes },
      discards: { ...this.#discards },
      endings: { ...this.#endings },
      ...this.#sums,
    };
  }
}
