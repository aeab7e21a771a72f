// Draws the charts of the Grafana dashboard from a real load: an app over HTTP, its sessions in Redis,
// parallel changes, an outage and a round of logouts. Writes bench/results/load.svg.
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import express from "express";
import session from "express-session";
import { createClient } from "redis";
import { RedisStore } from "redis-session-store";
import { collectMetrics } from "redis-session-store/metrics";
import { startRedis } from "../tools/redis-server.js";
import { draw } from "./chart.js";

const BROWSERS = 20;
/** What happens from which second on. @type {[from: number, what: "reads" | "changes" | "outage" | "logouts"][]} */
const PLOT = [
  [0, "reads"],
  [12, "changes"],
  [24, "outage"],
  [30, "reads"],
  [38, "logouts"],
];
const SECONDS = 48;

const redis = await startRedis();
const client = createClient({ url: redis.url });
client.on("error", () => {});
await client.connect();
const store = new RedisStore({ client, name: "shop", timeout: 500, cache: { max: 1000 } });
const metrics = collectMetrics();

const app = express();
app.use(session({ store, secret: "bench", resave: false, saveUninitialized: false }));
/** @param {express.Request} req */
const content = (req) =>
  /** @type {Record<string, unknown>} */ (/** @type {unknown} */ (req.session));
app.get("/login", (req, res) => {
  content(req).user = "ada";
  res.end();
});
app.get("/read", (_req, res) => void res.end());
app.get("/change", async (req, res) => {
  await delay(20);
  content(req)[/** @type {string} */ (req.query.key)] = Math.random();
  // Every third change is also one of a place that the other tab may be writing.
  if (Math.random() < 0.33) content(req).last = Math.random();
  res.end();
});
app.get("/logout", (req, res) => req.session.destroy(() => res.end()));
/** @type {express.ErrorRequestHandler} */
const onError = (_error, _req, res, _next) => {
  if (!res.headersSent) res.status(503);
  res.end();
};
app.use(onError);
const server = app.listen(0, "127.0.0.1");
await once(server, "listening");
const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());

const begin = performance.now();
const now = () => (performance.now() - begin) / 1000;
const act = () => PLOT.findLast(([from]) => now() >= from)?.[1];

/** One browser, until the end. */
async function browse() {
  let cookie = "";
  const get = async (/** @type {string} */ path) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { cookie } });
    await response.arrayBuffer();
    cookie = response.headers.getSetCookie()[0]?.split(";")[0] ?? cookie;
  };
  await get("/login");
  while (now() < SECONDS) {
    const what = act();
    if (what === "changes" && Math.random() < 0.3) {
      await Promise.all([get("/change?key=a"), get("/change?key=b")]);
    } else if (what === "logouts" && Math.random() < 0.1) {
      // A second tab is still at work, and finds the session gone.
      await Promise.all([get("/change?key=a"), get("/logout")]);
      await get("/login");
    } else await get("/read");
    await delay(50);
  }
}

/** @typedef {import("redis-session-store/metrics").StoreMetrics} Metrics */

/** As histogram_quantile does it, in ms. @param {Metrics} from @param {Metrics} to @param {number} share */
function quantile(from, to, share) {
  /** @type {Map<number, number>} */
  const counts = new Map();
  let all = 0;
  for (const [sign, of] of /** @type {[number, Metrics][]} */ ([
    [-1, from],
    [1, to],
  ])) {
    for (const { buckets, count } of Object.values(of.operations.get)) {
      all += sign * count;
      for (const [bound, below] of buckets)
        counts.set(bound, (counts.get(bound) ?? 0) + sign * below);
    }
  }
  if (all === 0) return undefined;
  let last = 0;
  let below = 0;
  for (const [bound, count] of counts) {
    if (count >= share * all) {
      return 1000 * (last + ((bound - last) * (share * all - below)) / (count - below));
    }
    last = bound;
    below = count;
  }
  return 1000 * last;
}

const ZERO = { count: 0 };
/** @type {{ panel: string, series: string, second: number, value: number | undefined }[]} */
const points = [];
/** What the panels of the dashboard show of one second. @param {Metrics} from @param {Metrics} to @param {number} s */
function sample(from, to, s) {
  const second = now();
  const put = (
    /** @type {string} */ panel,
    /** @type {string} */ series,
    /** @type {number | undefined} */ value,
  ) => points.push({ panel, series, second, value });
  put("Is it up", "up", Number(to.up));
  for (const operation of /** @type {const} */ (["get", "set", "touch", "destroy"])) {
    const total = (/** @type {Metrics} */ of) =>
      Object.values(of.operations[operation]).reduce((sum, { count }) => sum + count, 0);
    put("Operations per second", operation, (total(to) - total(from)) / s);
  }
  for (const outcome of /** @type {const} */ (["cached", "hit", "miss", "error"])) {
    const { get: before } = from.operations;
    const { get: after } = to.operations;
    const count = (after[outcome] ?? ZERO).count - (before[outcome] ?? ZERO).count;
    put("Reads per second, by outcome", outcome, count / s);
  }
  put("Reads, ms", "median", quantile(from, to, 0.5));
  put("Reads, ms", "99 %", quantile(from, to, 0.99));
  put("Who overwrites whom, per second", "merges", (to.merges - from.merges) / s);
  put(
    "Who overwrites whom, per second",
    "values overwritten",
    (to.overwritten - from.overwritten) / s,
  );
  const sum = (/** @type {Readonly<Record<string, number>>} */ of) =>
    Object.values(of).reduce((a, b) => a + b, 0);
  put(
    "Sessions ended, saves discarded, per second",
    "ended",
    (sum(to.endings) - sum(from.endings)) / s,
  );
  put(
    "Sessions ended, saves discarded, per second",
    "discarded",
    (sum(to.discards) - sum(from.discards)) / s,
  );
}

const browsers = Array.from({ length: BROWSERS }, browse);
const read = () => /** @type {Metrics} */ (metrics.snapshot().shop);
let last = read();
let asked = now();
let isPaused = false;
while (now() < SECONDS) {
  await delay(1000);
  const next = read();
  sample(last, next, now() - asked);
  last = next;
  asked = now();
  const shallPause = act() === "outage";
  if (shallPause !== isPaused) redis.kill(shallPause ? "SIGSTOP" : "SIGCONT");
  isPaused = shallPause;
}
await Promise.allSettled(browsers);
server.close();
server.closeAllConnections();
store.close();
client.destroy();
await redis.stop();

const acts = PLOT.map(([second, what]) => ({ second, what }));
const panels = [...new Set(points.map(({ panel }) => panel))];
const spec = /** @type {import("vega-lite").TopLevelSpec} */ ({
  concat: panels.map((panel) => ({
    title: { text: panel, anchor: "start" },
    width: 330,
    height: 130,
    layer: [
      {
        data: { values: acts },
        mark: { type: "rule", strokeDash: [2, 3], opacity: 0.5 },
        encoding: { x: { field: "second", type: "quantitative" } },
      },
      {
        data: { values: points.filter((point) => point.panel === panel) },
        mark: { type: "line", interpolate: "linear" },
        encoding: {
          x: {
            field: "second",
            type: "quantitative",
            title: "seconds",
            scale: { domain: [0, SECONDS] },
          },
          y: {
            field: "value",
            type: "quantitative",
            title: null,
            scale: panel === "Reads, ms" ? { type: "log" } : { zero: true },
          },
          color: { field: "series", type: "nominal", title: null, legend: { orient: "bottom" } },
        },
      },
    ],
  })),
  columns: 2,
  resolve: { scale: { color: "independent" } },
});
await writeFile(new URL("results/load.svg", import.meta.url), await draw(spec));
console.log("written to bench/results/load.svg");
