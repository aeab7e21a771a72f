import { connect } from "./contenders.js";
import { alternate, spread } from "./measure.js";
import { sizeFor } from "./operations.js";
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
 * @property {boolean} [isControl] it has no goal: what is found is the error of measurement
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

const READS = {
  operation: READ,
  name: /** @type {Name} */ ("ours"),
  than: /** @type {Name} */ ("ours"),
};

/** @type {Comparison[]} */
const comparisons = [
  { ...READS, what: "nothing: the same twice", isControl: true },
  { ...CHANNELS, ...READS },
  { ...CHANNELS, operation: READ, name: "ours with cache", than: "ours with cache" },
  { ...CHANNELS, operation: SAVE, name: "ours", than: "ours" },
  { ...ENDINGS, operation: READ, more: 0 },
  { ...ENDINGS, operation: SAVE, more: 0 },
  { ...ENDINGS, operation: END, more: 1 },
];

/** So many rounds are for the compiler. */
const WARM = 2;

/** A round is short, so that both contenders meet the same moods of the machine. */
const LOAD = { concurrency: 64, by: "cpu" };
/** Operations in a round. */
const SIZE = 20 * HOT;

/**
 * What the store does besides, and what that costs whoever does not use it.
 *
 * @param {import("./index.js").Context} context
 * @returns {Promise<import("./index.js").Section>}
 */
export async function extras({ url, quick, progress }) {
  const pairs = quick ? 2 : 8;
  const rounds = quick ? 2 : 10;
  const admin = await connect(url);
  const rows = [];
  try {
    for (const [place, comparison] of comparisons.entries()) {
      const { what, operation, name, more, isControl = false } = comparison;
      /** @type {Pair[]} */
      const found = [];
      for (let pair = 0; pair < pairs; pair++) {
        await admin.flushAll();
        progress("extras", (place + pair / pairs) / comparisons.length);
        found.push(await measure(comparison, url, rounds, pair));
      }
      const of = (/** @type {(pair: Pair) => number} */ value) => spread(found.map(value));
      const ratio = of((pair) => pair.ratio);
      const before = of((pair) => pair.commands.without).median;
      const sent = of((pair) => pair.commands.own).median;
      const isFast = more === 1 || ratio.median <= MOST;
      const goals = more === 1 ? [] : [`≤ ${times(MOST)}`];
      if (more !== undefined) goals.push(`${more} more`);
      rows.push([
        what,
        `${operation}: ${name}`,
        perOperation(of((pair) => pair.without).median),
        perOperation(of((pair) => pair.own).median),
        range(ratio),
        `${before.toFixed(2)} → ${sent.toFixed(2)}`,
        isControl ? "–" : goals.join(", "),
        isControl ? "–" : verdict(isFast && (more === undefined || sent - before <= more)),
      ]);
    }
  } finally {
    await admin.close();
  }
  return {
    title: "What is not used",
    text: `As in “The store”, with a cookie of one day. Each is beside the same store without it: for the channels a
build in which the question whether anybody listens is taken out, for \`endings\` the option left out. What is told
is the time of all processors in the process, for what both do is the same but for a few comparisons, and
by the clock Redis and the machine are most of it. In ${rounds} rounds both take turns with ${SIZE} operations. The ratio is the median over the rounds; told are the median, the smallest and the largest of
${pairs} pairs of processes, since two processes with the same code are not equally fast: the first row shows it. An
ending with \`endings\` may send one command more, in the same round trip; what it takes longer has no goal.`,
    tables: [
      {
        head: ["what", "operation", "without", "with", "× without", "commands", "goal", "met"],
        rows,
      },
    ],
    charts: [],
  };
}

/**
 * What a pair of processes took, one with and one without: µs for each operation, and commands.
 *
 * @typedef {{ without: number, own: number, ratio: number, commands: { without: number, own: number } }} Pair
 */

/**
 * @param {Comparison} comparison
 * @param {string} url
 * @param {number} rounds
 * @param {number} pair the how manieth
 * @returns {Promise<Pair>}
 */
async function measure({ operation, name, file, than, thanFile }, url, rounds, pair) {
  const make = (/** @type {string} */ from, /** @type {Name} */ who) => ({
    helper: new Helper(from, who, url),
    spent: /** @type {number[]} */ ([]),
  });
  const without = make(thanFile ?? "contender.js", than);
  const own = make(file ?? "contender.js", name);
  const cells = [without, own];
  const about = { operation, maxAge: DAY_MS };
  const load = { ...LOAD, batches: SIZE / sizeFor(name) };
  try {
    for (const { helper } of cells) await helper.ask({ do: "fill", maxAge: DAY_MS });
    for (let round = -WARM; round < rounds; round++) {
      for (const { helper, spent } of alternate(cells, round + WARM + pair)) {
        const us = /** @type {number} */ (await helper.ask({ do: "time", ...about, ...load }));
        if (round >= 0) spent.push(us);
      }
    }
    const commandsOf = async (/** @type {Helper} */ helper) =>
      /** @type {number} */ (await helper.ask({ do: "commands", ...about }));
    const ratios = own.spent.map((us, round) => us / /** @type {number} */ (without.spent[round]));
    return {
      without: spread(without.spent).median,
      own: spread(own.spent).median,
      ratio: spread(ratios).median,
      commands: { without: await commandsOf(without.helper), own: await commandsOf(own.helper) },
    };
  } finally {
    await Promise.all(cells.map(({ helper }) => helper.stop()));
  }
}
