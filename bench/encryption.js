import { randomBytes } from "node:crypto";
import { keyringOf } from "../dist/esm/session/index.js";
import { connect } from "./contenders.js";
import { alternate, spread } from "./measure.js";
import { sizeFor } from "./operations.js";
import { Helper } from "./processes.js";
import { content, DAY_MS, HOT, newSid, sids } from "./sessions.js";
import { perOperation, range, times, verdict } from "./table.js";

/** @typedef {import("./contenders.js").Name} Name */
/** @typedef {import("./operations.js").OperationName} OperationName */

/** How many times as fast as connect-redis a read-only request has to be that opens its session. */
const LEAST = 1.2;

/** @type {{ operation: OperationName, by: Name[], opened: Partial<Record<Name, number>> }[]} */
const rows = [
  {
    operation: "read-only request: get, touch",
    by: ["connect-redis", "ours", "ours with encryption", "ours with encryption and cache"],
    opened: { "ours with encryption": 1, "ours with encryption and cache": 0 },
  },
  {
    operation: "set, new session",
    by: ["connect-redis", "ours", "ours with encryption"],
    opened: { "ours with encryption": 0 },
  },
  {
    operation: "set, loaded and changed",
    by: ["connect-redis", "ours", "ours with encryption"],
    opened: { "ours with encryption": 0 },
  },
  {
    operation: "set, loaded and not changed",
    by: ["connect-redis", "ours", "ours with encryption"],
    opened: { "ours with encryption": 0 },
  },
];

const LOAD = { batches: 10, concurrency: 64 };

/**
 * What encryption costs.
 *
 * @param {import("./index.js").Context} context
 * @returns {Promise<import("./index.js").Section>}
 */
export async function encryption({ url, quick, progress }) {
  const rounds = quick ? 2 : 15;
  const admin = await connect(url);
  const names = [...new Set(rows.flatMap(({ by }) => by))];
  const helpers = new Map(names.map((name) => [name, new Helper("contender.js", name, url)]));
  const helperOf = (/** @type {Name} */ name) => /** @type {Helper} */ (helpers.get(name));
  const figures = [];
  const goals = [];
  try {
    for (const [place, { operation, by, opened }] of rows.entries()) {
      await admin.flushAll();
      for (const name of by) await helperOf(name).ask({ do: "fill", maxAge: DAY_MS });
      const cells = by.map((name) => ({ name, spent: /** @type {number[]} */ ([]) }));
      for (let round = -2; round < rounds; round++) {
        for (const { name, spent } of alternate(cells, Math.max(0, round))) {
          const request = { do: "time", operation, maxAge: DAY_MS, ...LOAD };
          const us = /** @type {number} */ (await helperOf(name).ask(request));
          if (round >= 0) spent.push(us);
        }
        progress("encryption", (place + (round + 2) / (rounds + 2)) / rows.length);
      }
      const base = /** @type {typeof cells[0]} */ (cells[0]);
      for (const { name, spent } of cells) {
        const ratio = spread(
          spent.map((us, round) => /** @type {number} */ (base.spent[round]) / us),
        );
        const least = opened[name];
        if (least === undefined) {
          figures.push([operation, name, perOperation(spread(spent).median), range(ratio), "", ""]);
          continue;
        }
        const count = /** @type {{ opened: number, sealed: number }} */ (
          await helperOf(name).ask({ do: "sealings", operation, maxAge: DAY_MS })
        );
        figures.push([
          operation,
          name,
          perOperation(spread(spent).median),
          range(ratio),
          count.opened.toFixed(2),
          count.sealed.toFixed(2),
        ]);
        const what = `${operation}: ${name}`;
        if (place === 0 && name === "ours with encryption") {
          const met = verdict(ratio.median >= LEAST);
          const goal = `≥ ${times(LEAST)}`;
          goals.push([`${what}, times as fast as connect-redis`, range(ratio), goal, met]);
        }
        const met = verdict(count.opened <= least);
        goals.push([`${what}, sessions opened`, count.opened.toFixed(2), `≤ ${least}`, met]);
      }
    }
  } finally {
    await Promise.all([...helpers.values()].map((helper) => helper.stop()));
    await admin.close();
  }
  const alone = sealAlone(quick ? 5 : 30);
  return {
    title: "Encryption",
    text: `As in “The store”, with a cookie of one day, ${rounds} rounds of ${LOAD.batches * HOT} operations (${sizeFor("ours with encryption and cache") / HOT} times as many from memory); how many
times as fast as connect-redis, which encrypts nothing, and how often an operation opens and seals a session.
To seal ${alone.bytes} bytes takes ${alone.seal}, to open them ${alone.open}
(processor time, medians): what is derived for a session is remembered.`,
    tables: [
      {
        head: ["operation", "store", "one", "times as fast (min–max)", "opened", "sealed"],
        rows: figures,
      },
      { head: ["what", "median (min–max)", "goal", "met"], rows: goals },
    ],
    charts: [],
  };
}

/** What sealing and opening take, without a store; at first, and once the session is known. @param {number} rounds */
function sealAlone(rounds) {
  const plain = JSON.stringify({ cookie: { originalMaxAge: DAY_MS }, ...content() });
  const keys = { bench: randomBytes(32) };
  const spent = {
    seal: { first: /** @type {number[]} */ ([]), again: /** @type {number[]} */ ([]) },
    open: { first: /** @type {number[]} */ ([]), again: /** @type {number[]} */ ([]) },
  };
  /** @param {(place: number) => void} work */
  const measure = (work) => {
    const before = process.cpuUsage();
    for (let place = 0; place < HOT; place++) work(place);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / HOT;
  };
  for (let round = 0; round < rounds; round++) {
    const own = sids.map(newSid);
    const ring = () => keyringOf({ keys, write: "bench", plaintextUntil: null }, "sess:");
    const [sealing, opening] = [ring(), ring()];
    /** @type {ReturnType<typeof sealing.seal>[]} */
    const sealed = [];
    for (const when of /** @type {const} */ (["first", "again"])) {
      const seal = measure((place) => {
        sealed[place] = sealing.seal(plain, own[place] ?? "");
      });
      const open = measure((place) => {
        opening.open(sealed[place] ?? "", own[place] ?? "");
      });
      spent.seal[when].push(seal);
      spent.open[when].push(open);
    }
  }
  const told = (/** @type {{ first: number[], again: number[] }} */ { first, again }) =>
    `${perOperation(spread(first).median)} the first time and ${perOperation(spread(again).median)} after that`;
  return { bytes: Buffer.byteLength(plain), seal: told(spent.seal), open: told(spent.open) };
}
