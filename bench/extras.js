import { connect } from "./contenders.js";
import { spread } from "./measure.js";
import { Helper } from "./processes.js";
import { DAY_MS, HOT } from "./sessions.js";
import { perOperation, range, times, verdict } from "./table.js";

/** @typedef {import("./pair.js").Variant} Variant */
/** @typedef {import("./pair.js").Took} Took */
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
 * @property {Variant} own
 * @property {Variant} without
 * @property {number} [more] how many commands more it may send; without that only the time counts
 * @property {boolean} [isControl] it has no goal: what is found is the error of measurement
 */

const CHANNELS = "channels, nobody listens";
const ENDINGS = {
  what: "endings",
  own: /** @type {Variant} */ ("ours with endings"),
  without: /** @type {Variant} */ ("ours"),
};

/** @type {Comparison[]} */
const comparisons = [
  {
    what: "nothing: the same twice",
    operation: READ,
    own: "ours",
    without: "ours#again",
    isControl: true,
  },
  { what: CHANNELS, operation: READ, own: "ours", without: "ours#silent" },
  { what: CHANNELS, operation: READ, own: "ours with cache", without: "ours with cache#silent" },
  { what: CHANNELS, operation: SAVE, own: "ours", without: "ours#silent" },
  { ...ENDINGS, operation: READ, more: 0 },
  { ...ENDINGS, operation: SAVE, more: 0 },
  { ...ENDINGS, operation: END, more: 1 },
];

/** So many rounds are for the compiler. */
const WARM = 3;

/** Operations in a round: short, so that both contenders meet the same moods of the machine. */
const SIZE = 20 * HOT;

/**
 * What the store does besides, and what that costs whoever does not use it.
 *
 * @param {import("./index.js").Context} context
 * @returns {Promise<import("./index.js").Section>}
 */
export async function extras({ url, quick, progress }) {
  const pairs = quick ? 2 : 6;
  const rounds = quick ? 2 : 12;
  const admin = await connect(url);
  const rows = [];
  try {
    for (const [place, comparison] of comparisons.entries()) {
      const { what, operation, own, more, isControl = false } = comparison;
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
        `${operation}: ${own}`,
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
by the clock Redis and the machine are most of it. Both are in one process, since two processes with the same code
are not equally fast; in ${rounds} rounds they take turns with ${SIZE} operations. The ratio is the median over the
rounds; told are the median, the smallest and the largest of ${pairs} processes. The first row, the same store twice, shows
what is error. An ending with \`endings\` may send one command more, in the same round trip; what it takes longer has
no goal.`,
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
 * What a pair took: µs for each operation, and commands.
 *
 * @typedef {{ without: number, own: number, ratio: number, commands: { without: number, own: number } }} Pair
 */

/**
 * @param {Comparison} comparison
 * @param {string} url
 * @param {number} rounds
 * @param {number} place the how manieth: in every other process they are the other way round
 * @returns {Promise<Pair>}
 */
async function measure({ operation, own, without }, url, rounds, place) {
  const variants = place % 2 === 0 ? [without, own] : [own, without];
  const helper = new Helper("pair.js", url, ...variants);
  const request = { operation, maxAge: DAY_MS, operations: SIZE, rounds, warm: WARM };
  try {
    const [one, other] = /** @type {[Took, Took]} */ (await helper.ask(request));
    const [before, after] = place % 2 === 0 ? [one, other] : [other, one];
    const ratios = after.spent.map((us, round) => us / /** @type {number} */ (before.spent[round]));
    return {
      without: spread(before.spent).median,
      own: spread(after.spent).median,
      ratio: spread(ratios).median,
      commands: { without: before.commands, own: after.commands },
    };
  } finally {
    await helper.stop();
  }
}
