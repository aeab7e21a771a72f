// Counts from the diagnostics channels of all stores in the process.
import { channel } from "node:diagnostics_channel";
import { assertOptions, invalid } from "../base/index.js";
import type { EventMessage, HealthQuestion, OperationMessage } from "../index.js";
import { Counts, type MetricsSnapshot } from "./counts.js";
import { type Meter, MeterFeed } from "./meter.js";
import { prometheusText } from "./prometheus.js";

/** Each store makes some hundred time series; more of them than this are counted as one, `other`. */
const MOST_STORES = 100;
const OTHERS = "other";

/** Options of {@link collectMetrics}. */
export interface MetricsOptions {
  /** A meter of OpenTelemetry to feed as well: `metrics.getMeter("redis-session-store")`. */
  readonly meter?: Meter | undefined;
}

/** What all stores of the process have done since {@link collectMetrics} was called. */
export interface Metrics {
  /**
   * The text that Prometheus scrapes. Answer with it and the type
   * `text/plain; version=0.0.4; charset=utf-8`.
   */
  prometheus(): string;
  /** The same as an object, by the name of the store; from the 101st store on as `other`. */
  snapshot(): MetricsSnapshot;
  /** Stops counting. */
  close(): void;
}

/**
 * Begins to count what all stores of this process do, those that are made later as well. It listens
 * to the diagnostics channels; the stores need not know.
 *
 * @throws ERR_INVALID_OPTION
 */
export function collectMetrics(options: MetricsOptions = {}): Metrics {
  assertOptions("collectMetrics()", options, ["meter"]);
  const meter = options.meter ?? undefined;
  if (meter !== undefined && typeof meter.createHistogram !== "function") {
    throw invalid("meter", "a meter of OpenTelemetry, what metrics.getMeter() returns", meter);
  }
  return new Collector(meter);
}

class Collector implements Metrics {
  readonly #stores = new Map<string, Counts>();
  readonly #feed: MeterFeed | undefined;
  readonly #stops: (() => void)[] = [];

  constructor(meter: Meter | undefined) {
    this.#feed = meter && new MeterFeed(meter, () => this.#health());
    for (const operation of ["get", "set", "touch", "destroy"]) {
      for (const phase of ["end", "asyncEnd"]) {
        this.#hear(`tracing:redis-session-store:${operation}:${phase}`, this.#onOperation);
      }
    }
    this.#hear("redis-session-store:event", this.#onEvent);
  }

  prometheus(): string {
    return prometheusText(this.snapshot());
  }

  snapshot(): MetricsSnapshot {
    const health = this.#health();
    const entries = [...this.#stores].map(
      ([store, counts]) => [store, counts.snapshot(health.get(store))] as const,
    );
    return Object.fromEntries(entries);
  }

  close(): void {
    for (const stop of this.#stops.splice(0)) stop();
    this.#feed?.close();
  }

  #hear(name: string, listener: (message: never) => void): void {
    const one = channel(name);
    one.subscribe(listener as (message: unknown) => void);
    this.#stops.push(() => one.unsubscribe(listener as (message: unknown) => void));
  }

  readonly #onOperation = (message: OperationMessage): void => {
    // One that waits for Redis is not over at its `end`.
    if (message.outcome === undefined) return;
    const store = this.#label(message.store);
    this.#counts(store).operation(message);
    this.#feed?.operation(store, message);
  };

  readonly #onEvent = (message: EventMessage): void => {
    const store = this.#label(message.store);
    this.#counts(store).event(message);
    this.#feed?.event(store, message);
  };

  /** Which stores are up; of several with one label all must be. */
  #health(): Map<string, boolean> {
    const health = new Map<string, boolean>();
    const question: HealthQuestion = {
      answer: (name, isUp) => {
        const store = this.#label(name);
        this.#counts(store);
        health.set(store, isUp && health.get(store) !== false);
      },
    };
    channel("redis-session-store:health").publish(question);
    return health;
  }

  #label(store: string): string {
    return this.#stores.has(store) || this.#stores.size < MOST_STORES ? store : OTHERS;
  }

  #counts(label: string): Counts {
    let counts = this.#stores.get(label);
    if (counts === undefined) {
      counts = new Counts();
      this.#stores.set(label, counts);
    }
    return counts;
  }
}
