import { startRedis } from "../tools/redis-server.js";
import { connect } from "./contenders.js";
import { fillMany, textOf } from "./many.js";
import { alternate, spread } from "./measure.js";
import { Helper } from "./processes.js";
import { perOperation, range, verdict } from "./table.js";

const OPERATIONS = ["get", "touch that renews", "set, loaded and changed"];
const SIZES = [200, 500, 2000, 20_000, 200_000];
const FLAT = 0.1;

/** What a fleet is assumed to look like. */
const FLEET = {
  sessions: [1e6, 1e7, 1e8],
  /** Requests of a live session, one in so many seconds. */
  every: 60,
  /** Which share of them write. */
  writes: 0.1,
  /** Memory of a primary that sessions may fill, in bytes. */
  memory: 16e9,
  /** Share of a core that a primary may be busy. */
  busy: 0.5,
};

/** @typedef {{ us: number, redis: number }} Timed an operation by the clock, and of the processor of Redis, in µs */

/**
 * What more sessions and larger ones cost, and what a fleet needs.
 *
 * @param {import("./index.js").Context} context
 * @returns {Promise<import("./index.js").Section>}
 */
export async function growth({ quick, progress }) {
  const counts = quick ? [1000, 20_000] : [1000, 10_000, 100_000, 1_000_000];
  const rounds = quick ? 2 : 12;
  const servers = await Promise.all(counts.map(() => startRedis()));
  const rows = [];
  const points = [];
  /** @type {Map<string, Timed>} */
  const costs = new Map();
  let perSession = 0;
  const workers = counts.map((count, index) => {
    const { url } = /** @type {import("../tools/redis-server.js").RedisServer} */ (servers[index]);
    return { count, url, helper: new Helper("growth-worker.js", url, String(count)) };
  });
  const goals = [];
  try {
    for (const { count, url } of workers) {
      const client = await connect(url);
      const before = await usedMemory(client);
      await fillMany(client, "growth:", 0, count, textOf(500));
      perSession = ((await usedMemory(client)) - before) / count;
      await client.close();
      progress(`growth, filled ${count}`, 0.1);
    }
    for (const operation of OPERATIONS) {
      const cells = workers.map((worker) => ({ ...worker, timed: /** @type {Timed[]} */ ([]) }));
      for (let round = -2; round < rounds; round++) {
        for (const { helper, timed } of alternate(cells, Math.max(0, round))) {
          const one = /** @type {Timed} */ (await helper.ask({ do: "time", operation }));
          if (round >= 0) timed.push(one);
        }
        const done = OPERATIONS.indexOf(operation) + (round + 3) / (rounds + 2);
        progress("growth", 0.1 + (0.6 * done) / OPERATIONS.length);
      }
      const [small] = /** @type {[typeof cells[0]]} */ (cells);
      for (const { count, timed } of cells) {
        const us = spread(timed.map((one) => one.us)).median;
        const redis = spread(timed.map((one) => one.redis)).median;
        costs.set(operation, { us, redis });
        const longer = spread(
          timed.map((one, round) => one.us / /** @type {Timed} */ (small.timed[round]).us),
        );
        rows.push([operation, String(count), perOperation(us), perOperation(redis), range(longer)]);
        points.push({ operation, count, us });
        if (count === counts.at(-1)) {
          const met = verdict(longer.median <= 1 + FLAT);
          goals.push([`${operation}: ${count} sessions beside ${counts[0]}`, range(longer), met]);
        }
      }
    }
  } finally {
    await Promise.all(workers.map(({ helper }) => helper.stop()));
    await Promise.all(servers.slice(1).map((server) => server.stop()));
  }
  const [server] = /** @type {[import("../tools/redis-server.js").RedisServer]} */ (servers);
  const sizes = await bySize(server, quick, (share) =>
    progress("growth, sizes", 0.7 + 0.3 * share),
  );
  await server.stop();
  return {
    title: "Growth",
    text: `Random sessions of 500 bytes out of more and more of them, each number on a server of its own, 64 operations
at a time; medians of ${rounds} rounds of 1000. Goal: at most ${FLAT * 100} % more time than with ${counts[0]}.

Sessions of different sizes, 200 to 2000 of each: memory in Redis (key and expiry included), and in the process for one
that is in the cache.

On paper: what a fleet needs whose live sessions hold 500 bytes and send a request a minute each, one in ten of which writes.
Redis then keeps ${perSession.toFixed(0)} bytes for each; a primary is counted full at ${FLEET.memory / 1e9} GB, and busy at ${FLEET.busy * 100} % of
a core, with the processor time above. With the cache the reads of sessions that a process has do not reach Redis.`,
    tables: [
      {
        head: ["operation", "sessions", "time", "Redis CPU", `beside ${counts[0]} (min–max)`],
        rows,
      },
      { head: ["goal: at most 1.10", "median (min–max)", "met"], rows: goals },
      {
        head: ["session", "in Redis", "in the cache", "get", "set, loaded and changed"],
        rows: sizes,
      },
      {
        head: [
          "live sessions",
          "memory",
          "commands a second",
          "with connect-redis",
          "with cache, at least",
          "primaries",
          "why",
        ],
        rows: FLEET.sessions.map((live) => onPaper(live, perSession, costs)),
      },
    ],
    charts: [chart(points)],
  };
}

/** @param {import("./contenders.js").Client} client */
async function usedMemory(client) {
  return Number(/^used_memory:(\d+)/m.exec(await client.info("memory"))?.[1]);
}

/**
 * @param {import("../tools/redis-server.js").RedisServer} server
 * @param {boolean} quick
 * @param {(share: number) => void} progress
 */
async function bySize({ url }, quick, progress) {
  const client = await connect(url);
  const rows = [];
  try {
    for (const [index, bytes] of SIZES.entries()) {
      await client.flushAll();
      const count = Math.min(quick ? 500 : 2000, Math.ceil(40e6 / bytes));
      const before = await usedMemory(client);
      await fillMany(client, "growth:", 0, count, textOf(bytes));
      const inRedis = ((await usedMemory(client)) - before) / count;
      const worker = new Helper("growth-worker.js", url, String(count));
      try {
        const inCache = /** @type {number} */ (await worker.ask({ do: "cache" }));
        const times = [];
        for (const operation of ["get", "set, loaded and changed"]) {
          const timed = [];
          for (let round = 0; round < (quick ? 2 : 5); round++) {
            timed.push(/** @type {Timed} */ (await worker.ask({ do: "time", operation })).us);
          }
          times.push(perOperation(spread(timed).median));
        }
        rows.push([`${bytes} B`, `${inRedis.toFixed(0)} B`, `${inCache.toFixed(0)} B`, ...times]);
      } finally {
        await worker.stop();
      }
      progress((index + 1) / SIZES.length);
    }
  } finally {
    await client.close();
  }
  return rows;
}

/**
 * @param {number} live
 * @param {number} perSession
 * @param {Map<string, Timed>} costs
 */
function onPaper(live, perSession, costs) {
  const { every, writes, memory, busy } = FLEET;
  const requests = live / every;
  const redis = (/** @type {string} */ operation) => costs.get(operation)?.redis ?? 0;
  const load = (requests * (redis("get") + writes * redis("set, loaded and changed"))) / 1e6 / busy;
  const size = (live * perSession) / memory;
  const count = Math.max(1, Math.ceil(Math.max(load, size)));
  const thousands = (/** @type {number} */ number) => `${(number / 1000).toFixed(0)} k`;
  return [
    `${live / 1e6} million`,
    `${((live * perSession) / 1e9).toFixed(1)} GB`,
    thousands(requests * (1 + writes)),
    thousands(requests * 2),
    thousands(requests * 2 * writes),
    String(count),
    count === 1 ? "" : size > load ? "memory" : "commands",
  ];
}

/**
 * @param {{ operation: string, count: number, us: number }[]} values
 * @returns {import("./index.js").Chart}
 */
function chart(values) {
  return {
    file: "growth.svg",
    alt: "Time of an operation by the number of sessions",
    spec: {
      data: { values },
      width: 520,
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
        y: { field: "us", type: "quantitative", title: "µs an operation" },
        color: {
          field: "operation",
          type: "nominal",
          sort: null,
          title: null,
          legend: { orient: "bottom" },
        },
      },
    },
  };
}
