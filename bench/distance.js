import { alternate, spread } from "./measure.js";
import { Helper } from "./processes.js";
import { DAY_MS } from "./sessions.js";
import { verdict } from "./table.js";

const ROUND_TRIP = 1;

/** How many round trips a read-only request may take. */
const GOALS = /** @type {const} */ ([
  ["connect-redis", undefined],
  ["ours", 1],
  ["ours with cache", 0],
]);

/**
 * What a request takes longer where Redis is a round trip of 1 ms away.
 *
 * @param {import("./index.js").Context} context
 * @returns {Promise<import("./index.js").Section>}
 */
export async function distance({ url, quick, progress }) {
  const rounds = quick ? 2 : 6;
  const count = quick ? 100 : 300;
  const proxy = new Helper("proxy.js", new URL(url).port, String(ROUND_TRIP));
  const port = await proxy.ask({});
  const pairs = GOALS.map(([name, goal]) => ({
    name,
    goal,
    near: new Helper("contender.js", name, url),
    far: new Helper("contender.js", name, `redis://127.0.0.1:${port}`),
    /** @type {number[]} */
    nearby: [],
    /** @type {number[]} */
    away: [],
  }));
  try {
    for (const { near, far } of pairs) {
      for (const helper of [near, far]) await helper.ask({ do: "fill", maxAge: DAY_MS });
    }
    const request = {
      do: "latencies",
      operation: "the same, with a Session object",
      maxAge: DAY_MS,
      count,
    };
    for (let round = -1; round < rounds; round++) {
      for (const { near, far, nearby, away } of alternate(pairs, Math.max(0, round))) {
        const here = /** @type {number[]} */ (await near.ask(request));
        const there = /** @type {number[]} */ (await far.ask(request));
        if (round < 0) continue;
        nearby.push(spread(here).median);
        away.push(spread(there).median);
      }
      progress("distance", (round + 2) / (rounds + 1));
    }
  } finally {
    const helpers = pairs.flatMap(({ near, far }) => [near, far]);
    await Promise.all([...helpers, proxy].map((helper) => helper.stop()));
  }
  return {
    title: "A Redis that is 1 ms away",
    text: `Read-only requests one after the other (get, Session object, touch), with Redis on the same machine and
through a proxy that adds ${ROUND_TRIP} ms to each round trip: medians of ${rounds} rounds of ${count} requests. The proxy itself
takes a little time too.`,
    tables: [
      {
        head: ["store", "Redis here", "1 ms away", "longer by", "round trips", "goal", "met"],
        rows: pairs.map(({ name, goal, nearby, away }) => {
          const here = spread(nearby).median;
          const there = spread(away).median;
          const trips = Math.round((there - here) / 1000 / ROUND_TRIP);
          return [
            name,
            `${(here / 1000).toFixed(3)} ms`,
            `${(there / 1000).toFixed(3)} ms`,
            `${((there - here) / 1000).toFixed(2)} ms`,
            String(trips),
            goal === undefined ? "" : `≤ ${goal}`,
            goal === undefined ? "" : verdict(trips <= goal),
          ];
        }),
      },
    ],
    charts: [],
  };
}
