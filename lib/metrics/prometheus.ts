// Writes metrics in the text format of Prometheus.
import type { MetricsSnapshot, StoreMetrics } from "./counts.js";

const PREFIX = "redis_session_store_";

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: number, suffix?: string];

/** One metric: what it is, and its samples of one store. */
interface Family {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly samples: (store: StoreMetrics) => Iterable<Sample>;
}

const byOperation = (counts: Readonly<Record<string, number>>): Sample[] =>
  Object.entries(counts).map(([operation, value]) => [{ operation }, value]);
const byReason = (counts: Readonly<Record<string, number>>): Sample[] =>
  Object.entries(counts).map(([reason, value]) => [{ reason }, value]);

const counter = (name: string, help: string, samples: Family["samples"]): Family => ({
  name: `${name}_total`,
  type: "counter",
  help,
  samples,
});
const sum = (name: string, help: string, value: (store: StoreMetrics) => number): Family =>
  counter(name, help, (store) => [[{}, value(store)]]);

const FAMILIES: readonly Family[] = [
  {
    name: "up",
    type: "gauge",
    help: "Whether Redis answers the store.",
    samples: ({ up }) => (up === undefined ? [] : [[{}, Number(up)]]),
  },
  {
    name: "operation_duration_seconds",
    type: "histogram",
    help: "How long operations took, by what became of them.",
    samples: histograms,
  },
  counter("errors", "Operations that failed, by their code.", ({ errors }) =>
    Object.entries(errors).flatMap(([operation, codes]) =>
      Object.entries(codes).map(([code, value]): Sample => [{ operation, code }, value]),
    ),
  ),
  counter("round_trips", "Answers of Redis that were waited for.", ({ roundTrips }) =>
    byOperation(roundTrips),
  ),
  counter("bytes", "Session text that was read or written.", ({ bytes }) => byOperation(bytes)),
  sum(
    "conflicts",
    "Times that a save found the session written by somebody else.",
    ({ conflicts }) => conflicts,
  ),
  sum("merges", "Saves that kept what another writer had changed.", ({ merges }) => merges),
  sum("kept_values", "Values of other writers that a merge kept.", ({ kept }) => kept),
  sum(
    "overwritten_values",
    "Values of other writers that a save overwrote.",
    ({ overwritten }) => overwritten,
  ),
  counter("discards", "Saves that were not written, by the reason.", ({ discards }) =>
    byReason(discards),
  ),
  counter("endings", "Sessions that were ended on purpose, by the reason.", ({ endings }) =>
    byReason(endings),
  ),
  sum("corrupt", "Stored values that are no session, met by a listing.", ({ corrupt }) => corrupt),
  sum(
    "fixations",
    "Logins that kept the id of an anonymous session.",
    ({ fixations }) => fixations,
  ),
  sum("outages", "Times that Redis went down.", ({ outages }) => outages),
];

function* histograms({ operations }: StoreMetrics): Iterable<Sample> {
  for (const [operation, outcomes] of Object.entries(operations)) {
    for (const [outcome, { buckets, count, seconds }] of Object.entries(outcomes)) {
      const labels = { operation, outcome };
      for (const [bound, below] of buckets) {
        yield [{ ...labels, le: String(bound) }, below, "_bucket"];
      }
      yield [{ ...labels, le: "+Inf" }, count, "_bucket"];
      yield [labels, seconds, "_sum"];
      yield [labels, count, "_count"];
    }
  }
}

/**
 * The metrics of all stores as Prometheus reads them, version 0.0.4.
 *
 * Source: https://prometheus.io/docs/instrumenting/exposition_formats/
 */
export function prometheusText(snapshot: MetricsSnapshot): string {
  const lines: string[] = [];
  for (const { name, type, help, samples } of FAMILIES) {
    lines.push(`# HELP ${PREFIX}${name} ${help}`, `# TYPE ${PREFIX}${name} ${type}`);
    for (const [store, metrics] of Object.entries(snapshot)) {
      for (const [labels, value, suffix = ""] of samples(metrics)) {
        lines.push(`${PREFIX}${name}${suffix}{${written({ store, ...labels })}} ${value}`);
      }
    }
  }
  return `${lines.join("\n")}\n`;
}

function written(labels: Labels): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${value.replace(/[\\"\n]/g, escaped)}"`)
    .join(",");
}

function escaped(char: string): string {
  return char === "\n" ? "\\n" : `\\${char}`;
}
