import { type ChannelListener, channel, unsubscribe } from "node:diagnostics_channel";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { type Attributes, metrics as api } from "@opentelemetry/api";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import parsePrometheus from "parse-prometheus-text-format";
import { collectMetrics, type Metrics, type MetricsOptions } from "../../lib/metrics/index.js";
import { pair } from "../support/requests.js";
import { startServer } from "../support/servers.js";
import {
  connect,
  freshPrefix,
  inMs,
  makeStore,
  newClient,
  rawOf,
  refusal,
  sessionOf,
  type TestClient,
  until,
} from "../support/store.js";

let client: TestClient;
let collected: Metrics[] = [];
beforeAll(async () => {
  // Channels are one for the process: stores of earlier test files would answer too, and take the names.
  const health = channel("redis-session-store:health") as { _subscribers?: ChannelListener[] };
  for (const answer of [...(health._subscribers ?? [])]) {
    unsubscribe("redis-session-store:health", answer);
  }
  client = await connect();
});
afterEach(() => {
  for (const metrics of collected) metrics.close();
  collected = [];
});

function collect(options?: MetricsOptions): Metrics {
  const metrics = collectMetrics(options);
  collected.push(metrics);
  return metrics;
}

/** What was counted of one store. */
function of(metrics: Metrics, name: string) {
  const found = metrics.snapshot()[name];
  if (found === undefined) throw new Error(`nothing is known of ${name}`);
  return found;
}

/** A few operations of a store of that name, one of each outcome that needs no other writer. */
async function work(name: string): Promise<void> {
  const store = makeStore(client, { name });
  await store.set("sid", sessionOf({ n: 1 }));
  await store.get("sid");
  await store.get("sid");
  await store.get("nobody");
  await store.touch("nobody", sessionOf());
  await store.destroy("sid");
  await rawOf(client).set(`${store.prefix}sid`, "no session");
  await refusal(store.get("sid"));
  await store.set("sid", sessionOf({}, { expires: inMs(-1) }));
}

test("operations are counted by their outcome, with how long they took", async () => {
  const metrics = collect();
  const name = freshPrefix();
  const before = performance.now();
  await work(name);
  const seconds = (performance.now() - before) / 1000;
  const { operations, errors, roundTrips, bytes, discards } = of(metrics, name);
  expect(operations).toMatchObject({
    get: { hit: { count: 2 }, miss: { count: 1 }, error: { count: 1 } },
    set: { OK: { count: 1 }, GONE: { count: 1 } },
    touch: { EXPIRED: { count: 1 } },
    destroy: { removed: { count: 1 } },
  });
  expect(errors.get).toEqual({ ERR_CORRUPT_SESSION: 1 });
  expect(roundTrips.get).toBe(4);
  expect(bytes.get).toBe(2 * JSON.stringify(sessionOf({ n: 1 })).length + "no session".length);
  expect(discards).toMatchObject({ expired: 1, missing: 0 });
  const hits = operations.get.hit;
  expect(hits?.seconds).toBeGreaterThan(0);
  expect(hits?.seconds).toBeLessThan(seconds);
  const buckets = hits?.buckets ?? [];
  for (const [index, [bound, count]] of buckets.entries()) {
    expect(bound).toBeGreaterThan(buckets[index - 1]?.[0] ?? 0);
    expect(count).toBeGreaterThanOrEqual(buckets[index - 1]?.[1] ?? 0);
    expect(count).toBeLessThanOrEqual(2);
  }
});

test("merges, what they kept and what they overwrote are counted", async () => {
  const metrics = collect();
  const name = freshPrefix();
  const { saveMine, saveOther, mine, other } = await pair({ shared: 0 }, { name });
  Object.assign(mine, { a: 1, shared: 1 });
  Object.assign(other, { b: 2, shared: 2 });
  await saveMine();
  await saveOther();
  expect(of(metrics, name)).toMatchObject({ merges: 1, kept: 1, overwritten: 1 });
});

test("what is overwritten is counted too where nothing else is kept, and the save answers OK", async () => {
  const metrics = collect();
  const name = freshPrefix();
  const { saveMine, saveOther, mine, other } = await pair({ shared: 0 }, { name });
  mine.shared = 1;
  other.shared = 2;
  await saveMine();
  expect(await saveOther()).toBe("OK");
  expect(of(metrics, name)).toMatchObject({ conflicts: 1, merges: 0, kept: 0, overwritten: 1 });
});

test("what happened before or after is not counted", async () => {
  const name = freshPrefix();
  const store = makeStore(client, { name });
  await store.get("sid");
  const metrics = collect();
  await store.get("sid");
  expect(of(metrics, name).operations.get.miss?.count).toBe(1);
  metrics.close();
  metrics.close();
  await store.get("sid");
  expect(of(metrics, name).operations.get.miss?.count).toBe(1);
});

test("up is asked of each store, also of one that nobody has used", async () => {
  const server = await startServer();
  const { client: own, close } = newClient(6, { url: server.url });
  await own.connect();
  const name = freshPrefix();
  const store = makeStore(own, { timeout: 100, name });
  try {
    const metrics = collect();
    expect(of(metrics, name).up).toBe(true);
    expect(metrics.prometheus()).toContain(`redis_session_store_up{store="${name}"} 1\n`);
    server.kill("SIGSTOP");
    await until(async () => {
      await refusal(store.get("sid"));
      return of(metrics, name).up === false;
    });
    expect(metrics.prometheus()).toContain(`redis_session_store_up{store="${name}"} 0\n`);
    expect(of(metrics, name).outages).toBe(1);
    server.kill("SIGCONT");
    await until(() => of(metrics, name).up === true);
  } finally {
    server.kill("SIGCONT");
    close();
    await server.stop();
  }
});

test("of several stores with one name all must be up", async () => {
  const name = freshPrefix();
  const metrics = collect();
  const one = makeStore(client, { name });
  const down = makeStore(newClient(6).client, { name, timeout: 20 });
  const other = makeStore(client, { name });
  await until(async () => {
    await refusal(down.get("sid"));
    return of(metrics, name).up === false;
  });
  expect(await one.get("sid")).toBeNull();
  expect(await other.get("sid")).toBeNull();
  expect(of(metrics, name).up).toBe(false);
});

test("from the hundred and first on stores are counted as one", async () => {
  const metrics = collect();
  const first = freshPrefix();
  // Other stores of this process may be among the first hundred.
  for (let count = 0; count < 101; count++) {
    await makeStore(client, { name: `${first}${count}` }).get("sid");
  }
  const names = Object.keys(metrics.snapshot());
  expect(names).toHaveLength(101);
  expect(names).toContain("other");
  const own = names.filter((name) => name.startsWith(first));
  const { miss } = of(metrics, "other").operations.get;
  expect(miss?.count).toBe(101 - own.length);
});

describe("the text for Prometheus", () => {
  test("is what a parser of that format reads, with the same figures", async () => {
    const metrics = collect();
    const name = `a "name"\\with\n all`;
    await work(name);
    const text = metrics.prometheus();
    expect(parsePrometheus(text).every(({ help, type }) => help !== "" && type !== "UNTYPED")).toBe(
      true,
    );
    // The parser makes one histogram of all that differ in their labels only: it gets plain samples.
    const families = parsePrometheus(text.replace(/^# .*duration_seconds.*\n/gm, ""));
    const read = (family: string, labels: object) =>
      families
        .find((one) => one.name === `redis_session_store_${family}`)
        ?.metrics.find((metric) =>
          Object.entries({ store: name, ...labels }).every(
            ([label, value]) => metric.labels?.[label] === value,
          ),
        )?.value;
    const hits = of(metrics, name).operations.get.hit;
    const labels = { operation: "get", outcome: "hit" };
    expect(read("operation_duration_seconds_count", labels)).toBe("2");
    expect(read("operation_duration_seconds_sum", labels)).toBe(String(hits?.seconds));
    for (const [bound, count] of hits?.buckets ?? []) {
      expect(read("operation_duration_seconds_bucket", { ...labels, le: String(bound) })).toBe(
        String(count),
      );
    }
    expect(read("operation_duration_seconds_bucket", { ...labels, le: "+Inf" })).toBe("2");
    expect(read("errors_total", { operation: "get", code: "ERR_CORRUPT_SESSION" })).toBe("1");
    expect(read("discards_total", { reason: "expired" })).toBe("1");
    expect(read("endings_total", { reason: "limit" })).toBe("0");
    expect(read("conflicts_total", {})).toBe("0");
    expect(read("up", {})).toBe("1");
  });

  test("has one declaration for each metric, and no line twice", async () => {
    const metrics = collect();
    await work(freshPrefix());
    await work(freshPrefix());
    const lines = metrics.prometheus().split("\n");
    expect(lines.pop()).toBe("");
    const series = lines.map((line) => line.replace(/ [^ ]*$/, ""));
    expect(new Set(series).size).toBe(series.length);
    for (const line of lines) {
      expect(line).toMatch(
        /^(# (HELP|TYPE) redis_session_store_\w+ .+|redis_session_store_\w+\{\w+="[^\n]*"\} [\d.e+-]+)$/,
      );
    }
  });
});

test.each(["grafana-dashboard.json", "alerts.yml"])(
  "%s names metrics, labels and values that there are",
  async (file) => {
    const name = freshPrefix();
    const metrics = collect();
    await work(name);
    const series = metrics.prometheus().replaceAll(name, "");
    const text = readFileSync(resolve(__dirname, "../../docs/observability", file), "utf8");
    const unescaped = text.replaceAll('\\"', '"');
    const named = [...unescaped.matchAll(/(redis_session_store_\w+)(\{[^}]*\})?/g)];
    expect(named.length).toBeGreaterThan(5);
    for (const [, metric = "", selector = ""] of named) {
      expect(series).toMatch(new RegExp(`^${metric}\\{`, "m"));
      for (const [, label, value] of selector.matchAll(/(\w+)="(\w+)"/g)) {
        const known = label === "outcome" ? OUTCOMES : series;
        expect(known).toContain(`${label}="${value}"`);
      }
    }
    for (const [, labels = ""] of unescaped.matchAll(/ by \(([^)]*)\)/g)) {
      for (const label of labels.split(/, */)) {
        expect(["store", "operation", "outcome", "reason", "code", "le"]).toContain(label);
      }
    }
  },
);

/** The outcomes that the dashboard and the alerts name; a test above has each of a read. */
const OUTCOMES = 'outcome="hit" outcome="cached" outcome="miss"';

describe("a meter of OpenTelemetry", () => {
  async function exported(run: (metrics: Metrics) => Promise<void>) {
    const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
    const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
    const provider = new MeterProvider({ readers: [reader] });
    const metrics = collect({ meter: provider.getMeter("redis-session-store") });
    await run(metrics);
    await provider.forceFlush();
    const found = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics);
    await provider.shutdown();
    return (name: string, attributes: Attributes) => {
      const metric = found
        .flatMap((scope) => scope.metrics)
        .find(({ descriptor }) => descriptor.name === `redis_session_store.${name}`);
      const point = metric?.dataPoints.find((one) =>
        Object.entries(attributes).every(([key, value]) => one.attributes[key] === value),
      );
      return { unit: metric?.descriptor.unit, value: point?.value };
    };
  }

  test("gets what is counted, and whether each store is up", async () => {
    const name = freshPrefix();
    const value = await exported(async () => {
      const store = makeStore(client, { name });
      await work(name);
      const { saveMine, saveOther, mine, other } = await pair({}, { name });
      mine.a = 1;
      other.b = 2;
      await saveMine();
      await saveOther();
      expect(await store.get("nobody")).toBeNull();
    });
    const hit = { store: name, operation: "get", outcome: "hit" };
    expect(value("operation.duration", hit)).toMatchObject({ unit: "s", value: { count: 4 } });
    const { value: histogram } = value("operation.duration", hit);
    expect((histogram as { buckets: { boundaries: number[] } }).buckets.boundaries).toContain(
      0.00025,
    );
    expect(value("errors", { store: name, code: "ERR_CORRUPT_SESSION" }).value).toBe(1);
    expect(value("discards", { store: name, reason: "expired" }).value).toBe(1);
    expect(value("merges", { store: name }).value).toBe(1);
    expect(value("kept_values", { store: name }).value).toBe(1);
    expect(value("session.io", { store: name, operation: "get" })).toMatchObject({ unit: "By" });
    expect(value("up", { store: name }).value).toBe(1);
  });

  test("gets nothing after close()", async () => {
    const name = freshPrefix();
    const value = await exported(async (metrics) => {
      metrics.close();
      await work(name);
    });
    expect(value("operation.duration", { store: name }).value).toBeUndefined();
    expect(value("up", { store: name }).value).toBeUndefined();
  });

  test("may be the one of the API without an SDK", () => {
    expect(() => collect({ meter: api.getMeter("none") })).not.toThrow();
  });
});

test.each([
  [{ meter: 7 }, /"meter".*OpenTelemetry.*got 7/],
  [{ metre: undefined }, /"metre".*meter/],
])("%p is refused", (options, message) => {
  let error: unknown;
  try {
    collect(options as MetricsOptions);
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toMatchObject({
    code: "ERR_INVALID_OPTION",
    message: expect.stringMatching(message),
  });
});
