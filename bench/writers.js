import { CommandCounter } from "./commands.js";
import { asPromise, CONTENDERS, connect, fill } from "./contenders.js";
import { alternate, spread } from "./measure.js";
import { DAY_MS, sids } from "./sessions.js";
import { verdict } from "./table.js";

/** @typedef {import("./contenders.js").Contender} Contender */

const WRITERS = [1, 2, 5, 10, 20, 50, 100, 200];
const STORES = 4;
const SID = /** @type {string} */ (sids[0]);

/**
 * Everyone loads the session, everyone adds a key, then everyone saves at once.
 *
 * @param {Contender[]} stores
 * @param {number} writers
 * @param {CommandCounter} counter
 */
async function collide(stores, writers, counter) {
  const [first] = /** @type {[Contender]} */ (stores);
  await first.remove([SID]);
  await fill(first, DAY_MS, [SID]);
  const load = async (/** @type {Contender} */ store) =>
    store.inflate(SID, await asPromise((done) => store.get(SID, done)));
  const requests = await Promise.all(
    Array.from({ length: writers }, async (_, index) => {
      const store = /** @type {Contender} */ (stores[index % stores.length]);
      return { store, session: Object.assign(await load(store), { [`key${index}`]: index }) };
    }),
  );
  await counter.start();
  const begin = performance.now();
  const latencies = await Promise.all(
    requests.map(async ({ store, session }) => {
      await asPromise((done) => store.set(SID, session, done));
      return performance.now() - begin;
    }),
  );
  await counter.stop();
  const kept = Object.keys(await load(first)).filter((key) => /^key\d+$/.test(key)).length;
  return { latency: spread(latencies).median, last: Math.max(...latencies), kept };
}

/**
 * What it costs when many requests save one session at the same time.
 *
 * @param {import("./index.js").Context} context
 * @returns {Promise<import("./index.js").Section>}
 */
export async function writers({ url, quick, progress }) {
  const rounds = quick ? 3 : 15;
  const admin = await connect(url);
  const clients = await Promise.all(Array.from({ length: STORES + 1 }, () => connect(url)));
  const [own, ...others] = /** @type {[(typeof clients)[0], ...typeof clients]} */ (clients);
  const teams = [
    { name: "connect-redis", stores: others.map(CONTENDERS["connect-redis"]) },
    { name: "ours, 1 process", stores: [CONTENDERS.ours(own)] },
    { name: `ours, ${STORES} processes`, stores: others.map(CONTENDERS.ours) },
  ];
  const rows = [];
  const points = [];
  for (const [step, count] of WRITERS.entries()) {
    const cells = teams.map((team) => ({
      ...team,
      counter: new CommandCounter(admin),
      latency: /** @type {number[]} */ ([]),
      last: /** @type {number[]} */ ([]),
      kept: /** @type {number[]} */ ([]),
    }));
    for (let round = -2; round < rounds; round++) {
      for (const cell of alternate(cells, Math.max(0, round))) {
        const counter = round < 0 ? new CommandCounter(admin) : cell.counter;
        const { latency, last, kept } = await collide(cell.stores, count, counter);
        if (round < 0) continue;
        cell.latency.push(latency);
        cell.last.push(last);
        cell.kept.push(kept);
      }
      progress("writers", (step + (round + 2) / (rounds + 2)) / WRITERS.length);
    }
    for (const { name, counter, latency, last, kept } of cells) {
      const commands = counter.sent / (rounds * count);
      rows.push([
        String(count),
        name,
        commands.toFixed(2),
        `${spread(latency).median.toFixed(2)} ms`,
        `${spread(last).median.toFixed(2)} ms`,
        `${spread(kept).min}${name === "connect-redis" ? "" : ` (${verdict(spread(kept).min === count)})`}`,
      ]);
      points.push({ name, count, commands, last: spread(last).median });
    }
  }
  await Promise.all([...clients, admin].map((client) => client.close()));
  return {
    title: "Many writers of one session",
    text: `Each loads the same session, adds a key of its own, then all save at once. The processes are stores
with a client each, in one process: they share nothing. connect-redis keeps one key, whoever wrote last.
Medians of ${rounds} rounds; the keys kept are those of the worst round.`,
    tables: [
      {
        head: ["writers", "store", "commands per save", "median save", "last save", "keys kept"],
        rows,
      },
    ],
    charts: [writersChart(points)],
  };
}

/**
 * @param {{ name: string, count: number, commands: number, last: number }[]} points
 * @returns {import("./index.js").Chart}
 */
function writersChart(points) {
  const panel = (/** @type {string} */ field, /** @type {string} */ title) => ({
    width: 260,
    height: 200,
    mark: /** @type {const} */ ({ type: "line", point: true }),
    encoding: {
      x: /** @type {const} */ ({
        field: "count",
        type: "quantitative",
        title: "writers at once",
      }),
      y: /** @type {const} */ ({ field, type: "quantitative", title }),
      color: /** @type {const} */ ({
        field: "name",
        type: "nominal",
        sort: null,
        title: null,
        legend: { orient: "bottom" },
      }),
    },
  });
  return {
    file: "writers.svg",
    alt: "Commands per save and time until the last of the writers is done, by the number of writers",
    spec: {
      data: { values: points },
      hconcat: [panel("commands", "commands per save"), panel("last", "ms until the last is done")],
    },
  };
}
