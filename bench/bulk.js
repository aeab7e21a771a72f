import { connect } from "./contenders.js";
import { fillMany, textOf } from "./many.js";
import { alternate, spread } from "./measure.js";
import { Helper } from "./processes.js";
import { range, times, verdict } from "./table.js";

const PREFIX = "bulk:";
const NAMES = ["connect-redis", "ours"];
/** @type {Record<string, number>} */
const GOALS = { length: 1.5, all: 1.2, clear: 1.2 };
const OPERATIONS = ["length", "all", "sessions()", "clear"];
const MOST_MS = 20;
const MOST_MB = 200;
/** What sessions() may take, in times of all(). */
const MOST_OF_ALL = 1.15;
/** Sessions of which a thousand do not fit into one reply. */
const LARGE = { count: 3000, bytes: 100_000 };

/**
 * What one operation by one contender took on so many sessions.
 *
 * @typedef {object} Result
 * @property {number} count
 * @property {string} operation
 * @property {string} name
 * @property {number[]} ms
 * @property {number[]} grown bytes
 * @property {number} slowest of its commands, on the server, in ms
 */

/**
 * What goes through all sessions.
 *
 * @param {import("./index.js").Context} context
 * @returns {Promise<import("./index.js").Section>}
 */
export async function bulk({ url, quick, progress }) {
  const sizes = quick ? [1000, 10_000, 50_000] : [1000, 10_000, 100_000, 1_000_000];
  const rounds = quick ? 1 : 3;
  const text = textOf(500);
  const admin = await connect(url);
  /** @type {Result[]} */
  const results = [];
  /** @type {{ ms: number, grown: number, slowest: number }[]} */
  const large = [];
  /** How long all() took on the same. @type {number[]} */
  const largeAll = [];
  let done = 0;
  try {
    await admin.flushAll();
    await admin.configSet({ "slowlog-log-slower-than": "500", "slowlog-max-len": "100000" });
    for (const count of sizes) {
      for (let round = 0; round < rounds; round++) {
        for (const operation of OPERATIONS) {
          for (const name of alternate(NAMES, round)) {
            if (operation === "sessions()" && name !== "ours") continue;
            const there = await admin.dbSize();
            if (there < count) await fillMany(admin, PREFIX, 0, count, text);
            const { ms, grown, slowest } = await run(admin, url, name, operation, count);
            const found = results.find(
              (one) => one.count === count && one.operation === operation && one.name === name,
            );
            const result = found ?? { count, operation, name, ms: [], grown: [], slowest: 0 };
            if (found === undefined) results.push(result);
            result.ms.push(ms);
            result.grown.push(grown);
            result.slowest = Math.max(result.slowest, slowest);
            // The larger the number, the longer it takes.
            done += count;
            const all = sizes.reduce((sum, size) => sum + size, 0) * rounds * 7;
            progress(`bulk, ${count} sessions`, done / all);
          }
        }
      }
    }
    await admin.flushAll();
    await fillMany(admin, PREFIX, 0, LARGE.count, textOf(LARGE.bytes));
    for (let round = 0; round < rounds; round++) {
      largeAll.push((await run(admin, url, "ours", "all", LARGE.count)).ms);
      large.push(await run(admin, url, "ours", "sessions()", LARGE.count));
    }
  } finally {
    await admin.configSet({ "slowlog-log-slower-than": "10000" });
    await admin.flushAll();
    await admin.close();
  }
  const largest = /** @type {number} */ (sizes.at(-1));
  const find = (/** @type {string} */ operation, /** @type {string} */ name) =>
    /** @type {Result} */ (
      results.find(
        (one) => one.count === largest && one.operation === operation && one.name === name,
      )
    );
  const goals = [];
  for (const [operation, least] of Object.entries(GOALS)) {
    const theirs = find(operation, "connect-redis");
    const ratio = spread(
      find(operation, "ours").ms.map((ms, round) => /** @type {number} */ (theirs.ms[round]) / ms),
    );
    const what = `${operation}, times as fast as connect-redis`;
    goals.push([what, range(ratio), `≥ ${times(least)}`, verdict(ratio.median >= least)]);
  }
  const own = results.filter(({ name }) => name === "ours");
  const ofLarge = `${LARGE.count} sessions of ${LARGE.bytes / 1000} kB`;
  for (const [what, entries, all] of /** @type {[string, number[], number[]][]} */ ([
    ["sessions(), times as long as all", find("sessions()", "ours").ms, find("all", "ours").ms],
    [`the same, ${ofLarge}`, large.map(({ ms }) => ms), largeAll],
  ])) {
    const ratio = spread(entries.map((ms, round) => ms / /** @type {number} */ (all[round])));
    const met = verdict(ratio.median <= MOST_OF_ALL);
    goals.push([what, range(ratio), `≤ ${times(MOST_OF_ALL)}`, met]);
  }
  const slowest = Math.max(...[...own, ...large].map((one) => one.slowest));
  const slow = `${slowest.toFixed(1)} ms`;
  goals.push(["slowest command of ours", slow, `≤ ${MOST_MS} ms`, verdict(slowest <= MOST_MS)]);
  for (const [what, sizes] of /** @type {[string, number[]][]} */ ([
    ["memory of sessions()", find("sessions()", "ours").grown],
    [`the same, ${ofLarge}`, large.map((one) => one.grown)],
  ])) {
    const grown = Math.max(...sizes) / 1e6;
    const memory = `${grown.toFixed(0)} MB`;
    goals.push([what, memory, `< ${MOST_MB} MB`, verdict(grown < MOST_MB)]);
  }
  return {
    title: "Through all sessions",
    text: `On sessions of 500 bytes; the goals count for ${largest} of them. Each operation in a process of its own, both
stores on the same keys; medians of ${rounds} rounds. The memory is the growth of the process at its peak, the
slowest command the time that Redis was busy with it and answered nobody else (SLOWLOG). Of length() the goal
is 1.5 and not 2: the server's own SCAN with TYPE, which keeps lists and sets from being counted as sessions,
takes half of the whole time of connect-redis.`,
    tables: [
      {
        head: ["sessions", "operation", "store", "time", "memory", "slowest command"],
        rows: results.map(({ count, operation, name, ms, grown: bytes, slowest: worst }) => [
          String(count),
          operation,
          name,
          `${spread(ms).median.toFixed(0)} ms`,
          `${(spread(bytes).median / 1e6).toFixed(0)} MB`,
          worst === 0 ? "< 0.5 ms" : `${worst.toFixed(1)} ms`,
        ]),
      },
      { head: ["goal for", "median (min–max)", "goal", "met"], rows: goals },
    ],
    charts: [chart(results)],
  };
}

/**
 * @param {import("./contenders.js").Client} admin
 * @param {string} url
 * @param {string} name
 * @param {string} operation
 * @param {number} count
 */
async function run(admin, url, name, operation, count) {
  const worker = new Helper("bulk-worker.js", name, url, PREFIX);
  try {
    await admin.sendCommand(["SLOWLOG", "RESET"]);
    /** @type {{ ms: number, grown: number, count: number }} */
    const { ms, grown, count: seen } = await worker.ask({ operation });
    const expected = operation === "clear" ? 0 : count;
    if (seen !== expected)
      throw new Error(`${name}: ${operation} ${seen} sessions instead of ${expected}`);
    const log = /** @type {[number, number, number][]} */ (
      /** @type {unknown} */ (await admin.sendCommand(["SLOWLOG", "GET", "100000"]))
    );
    const slowest = Math.max(0, ...log.map(([, , us]) => us)) / 1000;
    return { ms, grown, slowest };
  } finally {
    await worker.stop();
  }
}

/**
 * @param {Result[]} results
 * @returns {import("./index.js").Chart}
 */
function chart(results) {
  const values = results
    .filter(({ operation }) => operation in GOALS)
    .map(({ count, operation, name, ms }) => ({ count, operation, name, ms: spread(ms).median }));
  return {
    file: "bulk.svg",
    alt: "Time of length, all and clear by the number of sessions, beside connect-redis",
    spec: {
      data: { values },
      facet: {
        column: { field: "operation", sort: null, header: { title: null } },
      },
      spec: {
        width: 170,
        height: 200,
        mark: { type: "line", point: true },
        encoding: {
          x: {
            field: "count",
            type: "quantitative",
            scale: { type: "log" },
            title: "sessions",
            axis: { format: "~s", values: [...new Set(values.map(({ count }) => count))] },
          },
          y: { field: "ms", type: "quantitative", scale: { type: "log" }, title: "ms" },
          color: {
            field: "name",
            type: "nominal",
            sort: null,
            title: null,
            legend: { orient: "bottom" },
          },
        },
      },
    },
  };
}
