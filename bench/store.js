import { CommandCounter } from "./commands.js";
import { connect, connectRedis, fill, loadAll, ours, oursRenewing, raw } from "./contenders.js";
import { alternate, spread, time } from "./measure.js";
import { DAY_MS, HOT, newSession, newSid, sids } from "./sessions.js";
import { perOperation, range, times, verdict } from "./table.js";

/** @typedef {import("./contenders.js").Contender} Contender */
/** @typedef {import("./contenders.js").Session} Session */
/** @typedef {import("./measure.js").Work} Work */

/**
 * @typedef {object} Operation
 * @property {string} name
 * @property {(typeof connectRedis)[]} by who takes part; the first two are compared
 * @property {number} [goal] at least so many times as fast as connect-redis
 * @property {number} [commands] at most so many commands each
 * @property {(contender: Contender, maxAge: number | null) => Work["prepare"]} prepare
 */

/**
 * A contender at one operation.
 *
 * @typedef {object} Cell
 * @property {Work} work
 * @property {CommandCounter} counter
 * @property {number[]} spent µs an operation, by round
 */

const sidAt = (/** @type {number} */ index) => /** @type {string} */ (sids[index % HOT]);
const freshSids = sids.map(newSid);
const all = [connectRedis, ours, raw];

/** @type {Operation[]} */
const operations = [
  {
    name: "get",
    by: all,
    goal: 0.95,
    commands: 1.03,
    prepare: (contender) => async () => (index, done) => contender.get(sidAt(index), done),
  },
  {
    name: "set, new session",
    by: all,
    goal: 0.95,
    prepare: (contender, maxAge) => async () => {
      await contender.remove(freshSids);
      const sessions = freshSids.map((sid) => ({ sid, session: newSession(sid, null, maxAge) }));
      return (index, done) => {
        const { sid, session } = /** @type {typeof sessions[0]} */ (sessions[index]);
        contender.set(sid, session, done);
      };
    },
  },
  {
    name: "set, loaded and changed",
    by: all,
    goal: 0.75,
    prepare: (contender) => async () => {
      const sessions = await loadAll(contender);
      for (const session of sessions) session.views++;
      return (index, done) =>
        contender.set(sidAt(index), /** @type {Session} */ (sessions[index]), done);
    },
  },
  {
    name: "touch",
    by: all,
    prepare: touchAll,
  },
  {
    name: "touch that renews (touchAfter: 0)",
    by: [connectRedis, oursRenewing, raw],
    prepare: touchAll,
  },
  {
    name: "read-only request: get, touch",
    by: all,
    goal: 1.8,
    commands: 1.03,
    prepare: (contender) => async () => (index, done) => contender.read(sidAt(index), done),
  },
];

/** @param {Contender} contender */
function touchAll(contender) {
  return async () => {
    const sessions = await loadAll(contender);
    return (/** @type {number} */ index, /** @type {import("./measure.js").Done} */ done) =>
      contender.touch(sidAt(index), /** @type {Session} */ (sessions[index]), done);
  };
}

const LOAD = { batches: 3, concurrency: 64 };

/**
 * The store as express-session calls it, with callbacks.
 *
 * @param {import("./index.js").Context} context
 * @returns {Promise<import("./index.js").Section>}
 */
export async function store({ url, quick, progress }) {
  const rounds = quick ? 3 : 15;
  const admin = await connect(url);
  const makers = [...new Set(operations.flatMap(({ by }) => by))];
  const clients = await Promise.all(makers.map(() => connect(url)));
  const contenders = new Map(
    makers.map((make, index) => [make, make(/** @type {(typeof clients)[0]} */ (clients[index]))]),
  );
  const rows = [];
  const bars = [];
  let done = 0;
  for (const maxAge of [DAY_MS, null]) {
    const cookie = maxAge === null ? "none" : "1 day";
    await admin.flushAll();
    for (const contender of contenders.values()) await fill(contender, maxAge);
    for (const { name, by, goal, commands, prepare } of operations) {
      const cells = by.map((make) => {
        const contender = /** @type {Contender} */ (contenders.get(make));
        const work = { size: HOT, prepare: prepare(contender, maxAge) };
        return /** @type {Cell} */ ({ work, counter: new CommandCounter(admin), spent: [] });
      });
      // The round before the first warms up: code, connections, and the renewals of touchAfter.
      for (let round = -1; round < rounds; round++) {
        for (const { work, counter, spent } of alternate(cells, Math.max(0, round))) {
          const us = await time(work, LOAD, round < 0 ? undefined : counter);
          if (round >= 0) spent.push(us);
        }
        done++;
        progress("store", done / (2 * operations.length * (rounds + 1)));
      }
      const [theirs, own, floor] = /** @type {[Cell, Cell, Cell]} */ (cells);
      const ratio = faster(own.spent, theirs.spent);
      const sent = own.counter.sent / (rounds * LOAD.batches * HOT);
      const sentByThem = theirs.counter.sent / (rounds * LOAD.batches * HOT);
      rows.push([
        name,
        cookie,
        ...cells.map(({ spent }) => perOperation(spread(spent).median)),
        range(ratio),
        goal === undefined ? "" : `≥ ${times(goal)}`,
        goal === undefined ? "" : verdict(ratio.median >= goal),
        times(faster(own.spent, floor.spent).median),
        sentByThem.toFixed(2),
        `${sent.toFixed(3)}${commands === undefined ? "" : ` (≤ ${commands}: ${verdict(sent <= commands)})`}`,
      ]);
      // A touch with nothing to send is off the scale.
      if (name !== "touch") bars.push({ name, cookie, goal, ...ratio });
    }
  }
  await Promise.all([...clients, admin].map((client) => client.close()));
  return {
    title: "The store",
    text: `${HOT} hot sessions of about 500 bytes, ${LOAD.concurrency} operations at a time, called with callbacks as
express-session does; ${rounds} rounds of ${LOAD.batches * HOT} operations each. “Hot”: every session was renewed less than
\`touchAfter\` ago. The raw client does what one would write by hand: GET and JSON.parse, JSON.stringify
and SET PX, PEXPIRE; its read-only request is the GET alone. All clients have default options; those of
node-redis 6 include a timeout for each command that costs more than the store does, and that this store
replaces by one of its own.`,
    head: [
      "operation",
      "cookie maxAge",
      "connect-redis",
      "ours",
      "raw client",
      "ours ÷ connect-redis, speed (min–max)",
      "goal",
      "met",
      "ours ÷ raw",
      "commands, connect-redis",
      "commands, ours",
    ],
    rows,
    charts: [storeChart(bars)],
  };
}

/** How many times as fast, round by round. @param {number[]} own @param {number[]} other */
function faster(own, other) {
  return spread(own.map((us, round) => /** @type {number} */ (other[round]) / us));
}

/**
 * @param {({ name: string, cookie: string, goal: number | undefined } & import("./measure.js").Spread)[]} bars
 * @returns {import("./index.js").Chart}
 */
function storeChart(bars) {
  const y = /** @type {const} */ ({ field: "name", type: "nominal", sort: null, title: null });
  const x = /** @type {const} */ ({
    type: "quantitative",
    title: null,
  });
  return {
    file: "store.svg",
    alt: "Speed of each operation as a multiple of connect-redis's, with the spread over the rounds and the goal",
    spec: {
      data: { values: bars },
      title: {
        text: "Times as fast as connect-redis",
        subtitle: "median, smallest and largest of the rounds; in red the goal",
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
          {
            transform: [{ filter: "isValid(datum.goal)" }],
            mark: { type: "tick", thickness: 3, size: 22, color: "#d1242f" },
            encoding: { y, x: { ...x, field: "goal" } },
          },
        ],
      },
    },
  };
}
