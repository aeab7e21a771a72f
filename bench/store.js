import { CommandCounter } from "./commands.js";
import { connect } from "./contenders.js";
import { alternate, spread } from "./measure.js";
import { IN_MEMORY, sizeFor } from "./operations.js";
import { Helper } from "./processes.js";
import { DAY_MS, HOT } from "./sessions.js";
import { perOperation, range, times, verdict } from "./table.js";

/** @typedef {import("./contenders.js").Name} Name */
/** @typedef {import("./operations.js").OperationName} OperationName */

/** A figure that shall be reached: how many times as fast as another, how many times as long, or how many commands at most. */
/** @typedef {{ of: Name, than: Name, least: number, only?: "1 day" | "none" }} SpeedGoal */
/** @typedef {{ of: Name, than: Name, most: number }} SlowGoal */
/** @typedef {{ of: Name, most: number }} CommandGoal */

/**
 * @typedef {object} Row
 * @property {OperationName} operation
 * @property {Name[]} by who takes part
 * @property {SpeedGoal[]} faster
 * @property {SlowGoal[]} [slower]
 * @property {CommandGoal[]} commands
 */

/** @type {Name[]} */
const READERS = [
  "connect-redis",
  "ours",
  "ours with cache",
  "raw client",
  "raw client, no timeout",
  "JSON.parse alone",
];
/** @type {Name[]} */
const WRITERS = ["connect-redis", "ours", "raw client"];
/** @type {CommandGoal[]} */
const FEW = [
  { of: "ours", most: 1.03 },
  { of: "ours with cache", most: 0.03 },
];
const beside = (/** @type {number} */ least) =>
  /** @type {SpeedGoal[]} */ ([{ of: "ours", than: "connect-redis", least }]);

/** @type {Row[]} */
const rows = [
  { operation: "get", by: READERS, faster: beside(0.95), commands: FEW },
  { operation: "set, new session", by: WRITERS, faster: beside(0.95), commands: [] },
  { operation: "set, loaded and changed", by: WRITERS, faster: beside(0.75), commands: [] },
  { operation: "touch", by: WRITERS, faster: [], commands: [] },
  {
    operation: "touch that renews (touchAfter: 0)",
    by: ["connect-redis", "ours, touchAfter: 0", "raw client"],
    faster: [],
    commands: [],
  },
  {
    operation: "read-only request: get, touch",
    by: READERS,
    faster: [
      ...beside(1.8),
      { of: "ours", than: "raw client", least: 0.9 },
      { of: "ours with cache", than: "connect-redis", least: 6, only: "1 day" },
      { of: "ours with cache", than: "JSON.parse alone", least: 0.5, only: "1 day" },
      { of: "ours with cache", than: "connect-redis", least: 8, only: "none" },
      { of: "ours with cache", than: "JSON.parse alone", least: 0.7, only: "none" },
    ],
    slower: [
      { of: "ours", than: "raw client, no timeout", most: 1.45 },
      { of: "ours with cache", than: "JSON.parse alone", most: 2.2 },
    ],
    commands: FEW,
  },
  { operation: "the same, with a Session object", by: READERS, faster: [], commands: [] },
];

const LOAD = { batches: 10, concurrency: 64 };
const NAMES_IN_MEMORY = [...IN_MEMORY].join(" and ");

/**
 * A contender at one operation.
 *
 * @typedef {object} Cell
 * @property {Name} name
 * @property {CommandCounter} counter
 * @property {number[]} spent µs an operation, by round
 */

/**
 * The store as express-session calls it, with callbacks.
 *
 * @param {import("./index.js").Context} context
 * @returns {Promise<import("./index.js").Section>}
 */
export async function store({ url, quick, progress }) {
  const rounds = quick ? 2 : 15;
  const admin = await connect(url);
  const names = [...new Set(rows.flatMap(({ by }) => by))];
  const helpers = new Map(names.map((name) => [name, new Helper("contender.js", name, url)]));
  const helperOf = (/** @type {Name} */ name) => /** @type {Helper} */ (helpers.get(name));
  const figures = [];
  const goals = [];
  const bars = [];
  let done = 0;
  try {
    for (const [maxAge, cookie] of /** @type {const} */ ([
      [DAY_MS, "1 day"],
      [null, "none"],
    ])) {
      for (const { operation, by, faster, slower = [], commands } of rows) {
        await admin.flushAll();
        for (const name of by) await helperOf(name).ask({ do: "fill", maxAge });
        const cells = by.map((name) => {
          /** @type {Cell} */
          const cell = { name, counter: new CommandCounter(admin), spent: [] };
          return cell;
        });
        // The rounds before the first warm up: code, connections, and the renewals of touchAfter.
        for (let round = -2; round < rounds; round++) {
          for (const { name, counter, spent } of alternate(cells, Math.max(0, round))) {
            const request = { do: "time", operation, maxAge, ...LOAD };
            await counter.start();
            const us = await helperOf(name).ask(request);
            await counter.stop();
            if (round >= 0) spent.push(/** @type {number} */ (us));
            else counter.sent = 0;
          }
          done++;
          progress("store", done / (2 * rows.length * (rounds + 2)));
        }
        const cellOf = (/** @type {Name} */ name) =>
          /** @type {Cell} */ (cells.find((cell) => cell.name === name));
        const sentBy = (/** @type {Cell} */ { name, counter }) =>
          counter.sent / (rounds * LOAD.batches * sizeFor(name));
        const spent = (/** @type {Name[]} */ ...either) => {
          const cell = cells.find(({ name }) => either.includes(name));
          return cell === undefined ? "" : perOperation(spread(cell.spent).median);
        };
        const own = /** @type {Cell} */ (cells[1]);
        figures.push([
          operation,
          cookie,
          spent("connect-redis"),
          spent("ours", "ours, touchAfter: 0"),
          spent("ours with cache"),
          spent("raw client"),
          spent("raw client, no timeout"),
          spent("JSON.parse alone"),
        ]);
        const ratio = timesAsFast(own, cellOf("connect-redis"));
        if (operation !== "touch") bars.push({ operation, cookie, name: own.name, ...ratio });
        if (operation.startsWith("read-only")) {
          const cached = timesAsFast(cellOf("ours with cache"), cellOf("connect-redis"));
          bars.push({ operation: `${operation}, with cache`, cookie, name: "cache", ...cached });
        }
        for (const { of, than, least, only } of faster) {
          if (only !== undefined && only !== cookie) continue;
          const reached = timesAsFast(cellOf(of), cellOf(than));
          const what = `${of}, times as fast as ${than}`;
          const met = verdict(reached.median >= least);
          goals.push([operation, cookie, what, range(reached), `≥ ${times(least)}`, met]);
        }
        for (const { of, than, most } of slower) {
          const reached = timesAsLong(cellOf(of), cellOf(than));
          const what = `${of}, times as long as ${than}`;
          const met = verdict(reached.median <= most);
          goals.push([operation, cookie, what, range(reached), `≤ ${times(most)}`, met]);
        }
        for (const { of, most } of commands) {
          const sent = sentBy(cellOf(of));
          const what = `${of}, commands each`;
          goals.push([
            operation,
            cookie,
            what,
            sent.toFixed(3),
            `≤ ${most}`,
            verdict(sent <= most),
          ]);
        }
      }
    }
  } finally {
    await Promise.all([...helpers.values()].map((helper) => helper.stop()));
    await admin.close();
  }
  return {
    title: "The store",
    text: `${HOT} hot sessions of about 500 bytes, ${LOAD.concurrency} operations at a time, called with callbacks as
express-session does; ${rounds} rounds of ${LOAD.batches * HOT} operations each (${sizeFor("ours with cache") / HOT} times as many by ${NAMES_IN_MEMORY}), and the median time of one. The heap is
cleaned before a round, and not within it: what the operations leave to be collected counts. “Hot”: every
session was renewed less than \`touchAfter\` ago. The raw client does what one would write by hand: GET and
JSON.parse, JSON.stringify and SET PX, PEXPIRE; its read-only request is the GET alone. A client of redis 6
has a timeout for each command that costs more than the store does; this store replaces it by one of its own,
and so the raw client is shown with its default options and with \`timeout: undefined\`. A Session object is
what express-session makes of the result of \`get\`, whatever the store; it is no work of the store.`,
    tables: [
      {
        head: [
          "operation",
          "cookie maxAge",
          "connect-redis",
          "ours",
          "ours with cache",
          "raw client",
          "raw client, no timeout",
          "JSON.parse alone",
        ],
        rows: figures,
      },
      {
        head: ["operation", "cookie maxAge", "what", "median (min–max)", "goal", "met"],
        rows: goals,
      },
    ],
    charts: [storeChart(bars)],
  };
}

/** How many times as fast, round by round. @param {Cell} own @param {Cell} other */
function timesAsFast(own, other) {
  return spread(own.spent.map((us, round) => /** @type {number} */ (other.spent[round]) / us));
}

/** How many times as long, round by round. @param {Cell} own @param {Cell} other */
function timesAsLong(own, other) {
  return spread(own.spent.map((us, round) => us / /** @type {number} */ (other.spent[round])));
}

/**
 * @param {({ operation: string, cookie: string, name: string } & import("./measure.js").Spread)[]} bars
 * @returns {import("./index.js").Chart}
 */
function storeChart(bars) {
  const y = /** @type {const} */ ({ field: "operation", type: "nominal", sort: null, title: null });
  const x = /** @type {const} */ ({
    type: "quantitative",
    title: null,
  });
  return {
    file: "store.svg",
    alt: "Speed of each operation as a multiple of connect-redis's, with the spread over the rounds",
    spec: {
      data: { values: bars },
      title: {
        text: "Times as fast as connect-redis",
        subtitle: "median, smallest and largest of the rounds",
        anchor: "start",
      },
      facet: {
        row: {
          field: "cookie",
          sort: null,
          header: {
            title: null,
            labelOrient: "top",
            labelAnchor: "start",
            labelExpr: "'cookie maxAge: ' + datum.value",
          },
        },
      },
      spec: {
        width: 520,
        height: { step: 26 },
        layer: [
          { mark: { type: "bar", height: 14 }, encoding: { y, x: { ...x, field: "median" } } },
          {
            mark: { type: "rule" },
            encoding: { y, x: { ...x, field: "min" }, x2: { field: "max" } },
          },
        ],
      },
    },
  };
}
