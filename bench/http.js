import { connect } from "./contenders.js";
import { giveAllCores, giveCore, HAS_CORES } from "./cores.js";
import { alternate, spread } from "./measure.js";
import { Helper } from "./processes.js";
import { FLOOR } from "./sessions.js";
import { range, times, verdict } from "./table.js";

const NAMES = ["none", FLOOR, "MemoryStore", "connect-redis", "ours", "ours with cache"];
const CORES = HAS_CORES
  ? "The app has a core for itself, as in production; the load and Redis share the rest."
  : "The app, the load and Redis share the cores of the machine.";
const KINDS = /** @type {const} */ (["read", "write"]);

/**
 * What a load of requests cost.
 *
 * @typedef {object} Cost
 * @property {number} throughput requests a second
 * @property {number} p50 in ms
 * @property {number} p99 in ms
 * @property {number} app processor time of the app, µs a request
 * @property {number} redis processor time of Redis, µs a request
 * @property {number} bytes to and from Redis, a request
 */

/**
 * @typedef {object} App
 * @property {string} name
 * @property {Helper} helper
 * @property {number} port
 * @property {Record<typeof KINDS[number], Cost[]>} costs
 */

/** @param {string} info @param {string} name */
const field = (info, name) => Number(new RegExp(`^${name}:(\\S+)`, "m").exec(info)?.[1]);

/**
 * What requests through Express cost with each store.
 *
 * @param {import("./index.js").Context} context
 * @returns {Promise<import("./index.js").Section>}
 */
export async function http({ url, quick, progress }) {
  const rounds = quick ? 1 : 9;
  const seconds = quick ? 1 : 3;
  const admin = await connect(url);
  const load = new Helper("http-load.js");
  const server = field(await admin.info("server"), "process_id");
  /** @type {App[]} */
  const apps = [];
  const hashing = [];
  try {
    for (const name of NAMES) {
      const helper = new Helper("http-app.js", name, url);
      const port = /** @type {number} */ (await helper.ask({ do: "port" }));
      giveCore(helper.pid, [load.pid, server]);
      await load.ask({ do: "login", port });
      /** @type {Record<typeof KINDS[number], Cost[]>} */
      const costs = { read: [], write: [] };
      apps.push({ name, helper, port, costs });
    }
    const redis = async () => {
      const info = await admin.info();
      return {
        cpu: (field(info, "used_cpu_user") + field(info, "used_cpu_sys")) * 1e6,
        bytes: field(info, "total_net_input_bytes") + field(info, "total_net_output_bytes"),
      };
    };
    /** @param {App} app @param {string} kind @param {number} length */
    const run = async ({ helper, port }, kind, length) => {
      const before = await redis();
      const usage = /** @type {NodeJS.CpuUsage} */ (await helper.ask({ do: "usage" }));
      /** @type {{ requests: number, throughput: number, p50: number, p99: number }} */
      const { requests, ...measured } = await load.ask({
        do: "load",
        port,
        path: `/${kind}`,
        seconds: length,
      });
      const usageAfter = /** @type {NodeJS.CpuUsage} */ (await helper.ask({ do: "usage" }));
      const after = await redis();
      const spent = usageAfter.user + usageAfter.system - usage.user - usage.system;
      return {
        ...measured,
        app: spent / requests,
        redis: (after.cpu - before.cpu) / requests,
        bytes: (after.bytes - before.bytes) / requests,
      };
    };
    let done = 0;
    // The first round warms up.
    const first = quick ? 0 : -1;
    const steps = KINDS.length * apps.length * (rounds - first);
    for (const kind of KINDS) {
      for (let round = first; round < rounds; round++) {
        for (const app of alternate(apps, Math.max(0, round))) {
          const cost = await run(app, kind, round < 0 ? 1 : seconds);
          if (round >= 0) app.costs[kind].push(cost);
          progress("http", ++done / steps);
        }
      }
    }
    for (const { name, helper, port } of apps.slice(1)) {
      await helper.ask({ do: "profile" });
      await load.ask({ do: "load", port, path: "/read", seconds: 1 });
      const share = /** @type {number} */ (await helper.ask({ do: "profile" }));
      hashing.push(`${name} ${Math.round(share * 100)} %`);
    }
  } finally {
    await Promise.all([load, ...apps.map(({ helper }) => helper)].map((one) => one.stop()));
    giveAllCores(server);
    await admin.close();
  }

  const median = (/** @type {Cost[]} */ costs, /** @type {keyof Cost} */ key) =>
    spread(costs.map((cost) => cost[key])).median;
  const rows = KINDS.flatMap((kind) =>
    apps.map(({ name, costs }) => [
      kind,
      name,
      median(costs[kind], "throughput").toFixed(0),
      `${median(costs[kind], "p50").toFixed(0)} ms`,
      `${median(costs[kind], "p99").toFixed(0)} ms`,
      `${median(costs[kind], "app").toFixed(0)} µs`,
      `${median(costs[kind], "redis").toFixed(1)} µs`,
      median(costs[kind], "bytes").toFixed(0),
    ]),
  );
  const readsOf = (/** @type {string} */ name) =>
    /** @type {App} */ (apps.find((app) => app.name === name)).costs.read;
  const goals = [];
  for (const own of ["ours", "ours with cache"]) {
    for (const [other, least] of /** @type {const} */ ([
      ["connect-redis", 1.15],
      ["MemoryStore", 1],
    ])) {
      const theirs = readsOf(other);
      const ratio = spread(
        readsOf(own).map(
          (cost, round) => cost.throughput / /** @type {Cost} */ (theirs[round]).throughput,
        ),
      );
      const goal = least === 1 ? "> 1" : `≥ ${times(least)}`;
      const met = verdict(least === 1 ? ratio.median > 1 : ratio.median >= least);
      goals.push([`${own}, read-only requests beside ${other}`, range(ratio), goal, met]);
    }
  }
  const cpuGoals = /** @type {const} */ ([
    ["ours", 0.97],
    [FLOOR, 1.03],
  ]).map(([other, most]) => {
    const theirs = readsOf(other);
    const ratio = spread(
      readsOf("ours with cache").map(
        (cost, round) => cost.app / /** @type {Cost} */ (theirs[round]).app,
      ),
    );
    const what = `ours with cache, read-only requests beside ${other}`;
    return [what, range(ratio), `≤ ${times(most)}`, verdict(ratio.median <= most)];
  });
  return {
    title: "Requests through Express",
    text: `Express 5 in a process of its own, loaded from another one with autocannon: 64 browsers, each with its own
session of about 500 bytes and a cookie of one day, each sending its next request when the last one is
answered. Medians of ${rounds} rounds of ${seconds} s. ${CORES}
The processor time that the app and Redis spend on a request says more than the throughput. "${FLOOR}" is
the floor: the least that a store can do which gives each request a session of its own.

Share of express-session's own hashing (it turns the session into JSON and hashes that when it is loaded and
again when the response ends) in the busy time of the app, read-only requests: ${hashing.join(", ")}.`,
    tables: [
      {
        head: ["requests", "store", "a second", "p50", "p99", "app CPU", "Redis CPU", "bytes"],
        rows,
      },
      { head: ["throughput", "median (min–max)", "goal", "met"], rows: goals },
      { head: ["app CPU", "median (min–max)", "goal", "met"], rows: cpuGoals },
    ],
    charts: [
      chart(
        KINDS.flatMap((kind) =>
          apps.map(({ name, costs }) => ({
            kind: kind === "read" ? "read-only requests" : "requests that write",
            name,
            throughput: median(costs[kind], "throughput"),
          })),
        ),
      ),
    ],
  };
}

/**
 * @param {{ kind: string, name: string, throughput: number }[]} bars
 * @returns {import("./index.js").Chart}
 */
function chart(bars) {
  return {
    file: "http.svg",
    alt: "Requests a second through Express with each store, read-only and writing",
    spec: {
      data: { values: bars },
      title: { text: "Requests a second through Express", anchor: "start" },
      facet: {
        row: {
          field: "kind",
          sort: null,
          header: { title: null, labelOrient: "top", labelAnchor: "start" },
        },
      },
      spec: {
        width: 520,
        height: { step: 26 },
        mark: { type: "bar", height: 14 },
        encoding: {
          y: { field: "name", type: "nominal", sort: null, title: null },
          x: { field: "throughput", type: "quantitative", title: null },
        },
      },
    },
  };
}
