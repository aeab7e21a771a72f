import { RedisStore } from "redis-session-store";
import { connect } from "./contenders.js";
import { isInMemory } from "./hot.js";
import { Helper } from "./processes.js";
import { DAY_MS, newSession, newSid } from "./sessions.js";

/** A clock that all processes share, in µs. */
const now = () => Number(process.hrtime.bigint() / 1000n);

/**
 * How long after an acknowledged logout on one server another one still serves the session.
 *
 * @param {import("./index.js").Context} context
 * @returns {Promise<import("./index.js").Section>}
 */
export async function logout({ url, quick, progress }) {
  const logouts = quick ? 1000 : 10_000;
  const client = await connect(url);
  const store = new RedisStore({ client, prefix: "logout:", cache: { max: 10_000 } });
  const elsewhere = new Helper("logout-elsewhere.js", url);
  /** @type {number[]} */
  const times = [];
  let cached = 0;
  try {
    for (let index = 0; index < logouts; index++) {
      const sid = newSid();
      await store.set(sid, newSession(sid, null, DAY_MS));
      while (!(await isInMemory(store, sid))) await store.get(sid);
      cached++;
      /** @type {Promise<string>} */
      const acknowledged = elsewhere.ask({ sid });
      // As often as requests of a busy server could come.
      while ((await isInMemory(store, sid)) || (await store.get(sid)) !== null);
      const gone = now();
      times.push((gone - Number(await acknowledged)) / 1000);
      progress("logout", (index + 1) / logouts);
    }
  } finally {
    await elsewhere.stop();
    store.close();
    await client.close();
  }
  times.sort((a, b) => a - b);
  const at = (/** @type {number} */ share) =>
    `${/** @type {number} */ (times[Math.min(times.length - 1, Math.floor(share * times.length))]).toFixed(2)} ms`;
  return {
    title: "A logout reaches the other servers",
    text: `From the moment when \`destroy\` is acknowledged in one process until another one, which has the session in
its cache and asks for it again and again, serves no session: ${logouts} logouts, each of a session of its own.
Below zero the other process knew before the one that asked. Every one of the ${cached} sessions was in the cache before.`,
    tables: [
      {
        head: ["logouts", "median", "90 %", "99 %", "99.9 %", "worst"],
        rows: [[String(logouts), at(0.5), at(0.9), at(0.99), at(0.999), at(1)]],
      },
    ],
    charts: [chart(times)],
  };
}

/**
 * @param {number[]} times
 * @returns {import("./index.js").Chart}
 */
function chart(times) {
  const width = 0.05;
  /** @type {Map<number, number>} */
  const bins = new Map();
  for (const ms of times) {
    const bin = Math.floor(Math.min(ms, 2) / width) * width;
    bins.set(bin, (bins.get(bin) ?? 0) + 1);
  }
  return {
    file: "logout.svg",
    alt: "Histogram: how long after a logout another server still serves the session from its cache",
    spec: {
      data: {
        values: Array.from(bins, ([from, count]) => ({ from, to: from + width, count })),
      },
      title: { text: "From a logout until another server knows it", anchor: "start" },
      width: 520,
      height: 180,
      mark: { type: "bar", binSpacing: 1 },
      encoding: {
        x: {
          field: "from",
          bin: { binned: true, step: width },
          type: "quantitative",
          title: "ms; the last bar is everything beyond",
        },
        x2: { field: "to" },
        y: { field: "count", type: "quantitative", title: "logouts" },
      },
    },
  };
}
