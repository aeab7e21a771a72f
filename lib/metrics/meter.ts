// Feeds a meter of OpenTelemetry.
import type { EventMessage, OperationMessage } from "../index.js";
import { BOUNDS } from "./counts.js";

/** Of `@opentelemetry/api`, as far as it is used. */
export interface Counter {
  add(value: number, attributes?: Record<string, string>): void;
}

/** Of `@opentelemetry/api`, as far as it is used. */
export interface Histogram {
  record(value: number, attributes?: Record<string, string>): void;
}

/** Of `@opentelemetry/api`, as far as it is used. */
export interface ObservableGauge {
  addCallback(callback: Observe): void;
  removeCallback(callback: Observe): void;
}

type Observe = (result: {
  observe(value: number, attributes?: Record<string, string>): void;
}) => void;

/** What an instrument is made with. */
interface Instrument {
  description?: string;
  unit?: string;
  advice?: { explicitBucketBoundaries?: number[] };
}

/** A `Meter` of `@opentelemetry/api`, as far as it is used. */
export interface Meter {
  createCounter(name: string, options?: Instrument): Counter;
  createHistogram(name: string, options?: Instrument): Histogram;
  createObservableGauge(name: string, options?: Instrument): ObservableGauge;
}

const PREFIX = "redis_session_store.";

/** Feeds a meter of OpenTelemetry: the same metrics under the names that are usual there. */
export class MeterFeed {
  readonly #duration: Histogram;
  readonly #counters: Readonly<Record<string, Counter>>;
  readonly #up: ObservableGauge;
  readonly #observe: Observe;

  /** @param health - which stores are up, by the label of each */
  constructor(meter: Meter, health: () => Iterable<[store: string, isUp: boolean]>) {
    const counter = (name: string, unit: string, description: string) =>
      meter.createCounter(PREFIX + name, { unit, description });
    this.#duration = meter.createHistogram(`${PREFIX}operation.duration`, {
      unit: "s",
      description: "How long operations took, by what became of them.",
      advice: { explicitBucketBoundaries: [...BOUNDS] },
    });
    this.#counters = {
      errors: counter("errors", "{error}", "Operations that failed, by their code."),
      roundTrips: counter("round_trips", "{trip}", "Answers of Redis that were waited for."),
      bytes: counter("session.io", "By", "Session text that was read or written."),
      conflicts: counter(
        "conflicts",
        "{conflict}",
        "Times that a save found the session written by somebody else.",
      ),
      merged: counter("merges", "{merge}", "Saves that kept what another writer had changed."),
      kept: counter("kept_values", "{value}", "Values of other writers that a merge kept."),
      overwritten: counter(
        "overwritten_values",
        "{value}",
        "Values of other writers that a save overwrote.",
      ),
      discarded: counter("discards", "{save}", "Saves that were not written, by the reason."),
      ended: counter("endings", "{session}", "Sessions ended on purpose, by the reason."),
      corrupt: counter("corrupt", "{value}", "Stored values that are no session."),
      fixation: counter("fixations", "{login}", "Logins that kept the id of an anonymous session."),
      down: counter("outages", "{outage}", "Times that Redis went down."),
    };
    this.#up = meter.createObservableGauge(`${PREFIX}up`, {
      description: "Whether Redis answers the store.",
    });
    this.#observe = (result) => {
      for (const [store, isUp] of health()) result.observe(Number(isUp), { store });
    };
    this.#up.addCallback(this.#observe);
  }

  operation(store: string, message: OperationMessage): void {
    const { operation, outcome = "", seconds = 0, code } = message;
    const labels = { store, operation };
    this.#duration.record(seconds, { ...labels, outcome });
    if (code !== undefined) this.#add("errors", 1, { ...labels, code });
    this.#add("roundTrips", message.roundTrips, labels);
    this.#add("bytes", message.bytes, labels);
    this.#add("conflicts", message.conflicts, { store });
    this.#add("overwritten", message.overwritten, { store });
  }

  event(store: string, message: EventMessage): void {
    this.#add(
      message.event,
      1,
      "reason" in message ? { store, reason: message.reason } : { store },
    );
    if (message.event === "merged") this.#add("kept", message.kept, { store });
  }

  close(): void {
    this.#up.removeCallback(this.#observe);
  }

  #add(name: string, value: number, labels: Record<string, string>): void {
    if (value > 0) this.#counters[name]?.add(value, labels);
  }
}
