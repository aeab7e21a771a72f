import { connect } from "./contenders.js";
import { alternate, spread } from "./measure.js";
import { Helper } from "./processes.js";
import { DAY_MS, HOT } from "./sessions.js";
import { perOperation, range, times, verdict } from "./table.js";

/** @typedef {import("./contenders.js").Name} Name */
/** @typedef {import("./operations.js").OperationName} OperationName */

/** By how much of its time an operation may take longer. */
const MOST = 1.02;

const READ = /** @type {OperationName} */ ("read-only request: get, touch");
const SAVE = /** @type {OperationName} */ ("set, loaded and changed");
const END = /** @type {OperationName} */ ("destroy");

/**
 * What is compared: the store with something, and the same store without it.
 *
 * @typedef {object} Comparison
 * @property {string} what
 * @property {OperationName} operation
 * @property {Name} name
 * @property {string} [file] of the contender
 * @property {Name} than
 * @property {string} [thanFile] of the other one
 * @property {number} [more] how many commands more it may send; without that only the time counts
 */

const CHANNELS = {
  what: "channels, nobody listens",
  file: "contender.js",
  thanFile: "without-channels.js",
};
const ENDINGS = {
  what: "endings",
  name: /** @type {Name} */ ("ours with endings"),
  than: /** @type {Name} */ ("ours"),
};

/** @type {Comparison[]} */
const comparisons = [
  { ...CHANNELS, operation: READ, name: "ours", than: "ours" },
  { ...CHANNELS, operation: READ, name: "ours with cache", than: "ours with cache" },
  { ...CHANNELS, operation: SAVE, name: "ours", than: "ours" },
  { ...ENDINGS, operation: READ, more: 0 },
  { ...ENDINGS, operation: SAVE, more: 0 },
  { ...ENDINGS, operation: END, more: 1 },
];

const LOAD = { batches: 10, concurrency: 64 };

/**
 * What the store does besides, and what that costs whoever does not use it.
 *
 * @param {import("./index.js").Context} context
 * @returns {Promise<import("./index.js").Section>}
 */
export async function extras({ url, quick, progress }) {
  const rounds = quick ? 2 : 40;
  const admin = await connect(url);
  const rows = [];
  try {
    for (const [place, comparison] of comparisons.entries()) {
      const { what, operation, name, file, than, thanFile, more } = comparison;
      await admin.flushAll();
      const cells = [
        { helper: new Helper(thanFile ?? "contender.js", than, url), spent: [] },
        { helper: new Helper(file ?? "contender.js", name, url), spent: [] },
      ].map((cell) => ({ ...cell, spent: /** @type {number[]} */ ([]) }));
      const [without, own] = /** @type {[typeof cells[0], typeof cells[0]]} */ (cells);
      const about = { operation, maxAge: DAY_MS };
      const commandsOf = async (/** @type {Helper} */ helper) =>
        /** @type {number} */ (await helper.ask({ do: "commands", ...about }));
      try {
        for (const { helper } of cells) await helper.ask({ do: "fill", maxAge: DAY_MS });
        for (let round = -2; round < rounds; round++) {
          for (const { helper, spent } of alternate(cells, Math.max(0, round))) {
            const us = await helper.ask({ do: "time", ...about, ...LOAD });
            if (round >= 0) spent.push(/** @type {number} */ (us));
          }
          progress("extras", (place + (round + 2) / (rounds + 2)) / comparisons.length);
        }
        const ratio = spread(
          own.spent.map((us, round) => us / /** @type {number} */ (without.spent[round])),
        );
        const sent = await commandsOf(own.helper);
        const before = await commandsOf(without.helper);
        const isFast = more === 1 || ratio.median <= MOST;
        const goals = more === 1 ? [] : [`≤ ${times(MOST)}`];
        if (more !== undefined) goals.push(`${more} more`);
        rows.push([
          what,
          `${operation}: ${name}`,
          perOperation(spread(without.spent).median),
          perOperation(spread(own.spent).median),
          range(ratio),
          `${before.toFixed(2)} → ${sent.toFixed(2)}`,
          goals.join(", "),
          verdict(isFast && (more === undefined || sent - before <= more)),
        ]);
      } finally {
        await Promise.all(cells.map(({ helper }) => helper.stop()));
      }
    }
  } finally {
    await admin.close();
  }
  return {
    title: "What is not used",
    text: `As in “The store”, with a cookie of one day; ${rounds} rounds of ${LOAD.batches * HOT} operations (20 times as many from memory). Each is
beside the same store without it: for the channels a build in which the question whether anybody listens
is taken out, for \`endings\` the option left out. An ending with \`endings\` may send one command more, in
the same round trip; what it takes longer has no goal.`,
    tables: [
      {
        head: ["what", "operation", "without", "with", "× without", "commands", "goal", "met"],
        rows,
      },
    ],
    charts: [],
  };
}
