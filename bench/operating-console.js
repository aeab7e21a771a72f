import { setTimeout as delay } from "node:timers/promises";
import { giveCore, giveWay } from "./cores.js";
import { alternate, spread } from "./measure.js";
import { lookWithBrowser } from "./operating-browser.js";
import { Helper } from "./processes.js";
import { range, verdict } from "./table.js";

const GOALS = { p99: 1.5, page: 30 };

/** The app's own requests in a second, and how many clients ask for pages meanwhile. */
export const RATE = 200;
export const CROWD = 100;

/** @typedef {"alone" | "plain" | "console"} Way */
const WAYS = /** @type {const} */ (["alone", "plain", "console"]);

/**
 * The console on many sessions: in a browser, and beside the app's own requests.
 *
 * @param {object} context
 * @param {import("./contenders.js").Client} context.admin
 * @param {string} context.url
 * @param {string} context.prefix of the sessions
 * @param {boolean} context.quick
 * @param {import("./index.js").Context["progress"]} context.progress
 */
export async function ofConsole({ admin, url, prefix, quick, progress }) {
  const rounds = quick ? 2 : 8;
  const seconds = quick ? 3 : 10;
  const app = new Helper("operating-app.js", url, prefix);
  const own = new Helper("operating-clients.js");
  const crowd = new Helper("operating-clients.js");
  /** @type {Record<Way, number[][]>} */
  const found = { alone: [], plain: [], console: [] };
  /** @type {string[][]} */
  const goals = [];
  const seen = {
    plain: { pages: 0, bytes: 0, failed: 0 },
    console: { pages: 0, bytes: 0, failed: 0 },
  };
  const lasts = seconds + 1;
  try {
    const port = /** @type {number} */ (await app.ask({ do: "port" }));
    const looked = await lookWithBrowser(`http://127.0.0.1:${port}/console`);
    if (looked !== undefined) {
      const { pages, faults, slowest } = looked;
      goals.push(
        [
          `${pages} pages in a browser, narrow and wide, light and dark: what axe finds, what is cut off`,
          faults.join("; ") || "nothing",
          "nothing",
          verdict(faults.length === 0),
        ],
        [
          "the slowest of them, which looks for longer",
          `${(slowest / 1000).toFixed(1)} s`,
          `< ${GOALS.page} s`,
          verdict(slowest / 1000 < GOALS.page),
        ],
      );
    }
    const redis = Number(/^process_id:(\d+)/m.exec(await admin.info("server"))?.[1]);
    giveCore(app.pid, [own.pid, crowd.pid, redis]);
    giveWay(crowd.pid);
    const apart = quick ? 500 : 10_000;
    const cursors = /** @type {string[]} */ (
      await app.ask({ do: "cursors", count: CROWD / 2, apart })
    );
    const lists = cursors.map(
      (cursor) => `/console?${new URLSearchParams({ at: "list", cursor }).toString()}`,
    );
    const overviews = lists.map(() => "/console");
    const steady = () =>
      /** @type {Promise<number[]>} */ (own.ask({ do: "steady", port, rate: RATE, seconds }));
    /**
     * The app's own requests while a crowd asks for pages.
     *
     * @param {"plain" | "console"} way
     * @param {string[]} places
     * @param {number} [rate] pages in a second
     */
    const beside = async (way, places, rate) => {
      const asked = crowd.ask({ do: "crowd", port, places, rate, seconds: lasts });
      await delay(500);
      const times = await steady();
      const answered = /** @type {{ pages: number, bytes: number, failed: number }} */ (
        await asked
      );
      seen[way].pages += answered.pages;
      seen[way].bytes += answered.bytes;
      seen[way].failed += answered.failed;
      return times;
    };
    /** @type {Record<Way, () => Promise<number[]>>} */
    const measures = {
      alone: steady,
      console: () => beside("console", [...overviews, ...lists]),
      plain: () => {
        const { pages, bytes } = seen.console;
        const place = `/plain/${Math.round(bytes / pages)}`;
        const rate = pages / (lasts * (found.console.length + warm));
        return beside(
          "plain",
          Array.from({ length: CROWD }, () => place),
          rate,
        );
      },
    };
    // Before the first round, for the compiler, and so that the control knows how many pages there are.
    const warm = 1;
    await measures.console();
    await measures.plain();
    for (let round = 0; round < rounds; round++) {
      progress("operating, the console", 0.6 + (0.4 * round) / rounds);
      for (const way of alternate(WAYS, round)) found[way].push(await measures[way]());
    }
  } finally {
    await Promise.all([app, own, crowd].map((helper) => helper.stop()));
  }
  const p99 = (/** @type {number[]} */ times) => quantile(times, 0.99);
  const ratioOf = (/** @type {Way} */ way) =>
    spread(
      found[way].map(
        (times, round) => p99(times) / p99(/** @type {number[]} */ (found.alone[round])),
      ),
    );
  const row = (/** @type {string} */ name, /** @type {Way} */ way) => {
    const all = found[way].flat();
    const pages = way === "alone" ? "–" : (seen[way].pages / ((rounds + 1) * lasts)).toFixed(0);
    return [
      name,
      `${quantile(all, 0.5).toFixed(1)} ms`,
      `${p99(all).toFixed(1)} ms`,
      way === "alone" ? "–" : range(ratioOf(way)),
      pages,
    ];
  };
  const failed = seen.console.failed + seen.plain.failed;
  const ratio = ratioOf("console");
  goals.push(
    [
      "p99 of the app's own requests beside the console, times that alone",
      range(ratio),
      `≤ ${GOALS.p99}`,
      verdict(ratio.median <= GOALS.p99),
    ],
    ["pages that failed", String(failed), "0", verdict(failed === 0)],
  );
  const rows = [
    row("alone", "alone"),
    row(`while ${CROWD} clients ask for a plain page`, "plain"),
    row(`while ${CROWD} clients ask the console`, "console"),
  ];
  return { rows, goals };
}

/** @param {number[]} values @param {number} share */
function quantile(values, share) {
  const sorted = values.toSorted((a, b) => a - b);
  return /** @type {number} */ (
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
  );
}
