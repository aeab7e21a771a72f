import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { connect } from "./contenders.js";
import { HAS_CORES } from "./cores.js";
import { fillMany, textOf } from "./many.js";
import { spread } from "./measure.js";
import { CROWD, ofConsole, RATE } from "./operating-console.js";
import { verdict } from "./table.js";

const COMMAND = fileURLToPath(new URL("../dist/esm/cli/index.js", import.meta.url));
const PREFIX = "operating:";
/** What is measured in redis itself below this is not told: ms. */
const UNTOLD = 0.5;

const GOALS = { begin: 150, first: 1000, slowest: 20, memory: 200, stop: 100 };

/**
 * What one run of the command took.
 *
 * @typedef {object} Ran
 * @property {number} first ms until the first byte on stdout
 * @property {number} ms until its end
 * @property {number} memory of the process at its peak, in bytes; NaN where nobody tells
 * @property {number} code
 */

/**
 * @param {string[]} args
 * @param {{ interruptAfter?: number, readOnly?: number }} [options] `interruptAfter`: Ctrl-C so many
 *   ms after the first byte; `readOnly`: closes the pipe after so many bytes
 * @returns {Promise<Ran & { stop: number }>} `stop`: ms from Ctrl-C to the end
 */
async function run(args, { interruptAfter, readOnly } = {}) {
  const begun = performance.now();
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "ignore"] });
  let first = Number.NaN;
  let memory = Number.NaN;
  let interrupted = Number.NaN;
  let read = 0;
  const watch = setInterval(() => {
    const peak = peakOf(child.pid);
    if (peak !== undefined) memory = peak;
  }, 20);
  const exit = once(child, "exit");
  child.stdout.on("data", (/** @type {Buffer} */ chunk) => {
    if (read === 0) {
      first = performance.now() - begun;
      if (interruptAfter !== undefined) {
        setTimeout(() => {
          interrupted = performance.now();
          child.kill("SIGINT");
        }, interruptAfter);
      }
    }
    read += chunk.length;
    if (readOnly !== undefined && read >= readOnly) child.stdout.destroy();
  });
  const [code] = await exit;
  clearInterval(watch);
  const now = performance.now();
  return { first, ms: now - begun, memory, code, stop: now - interrupted };
}

/** The most memory that a process has had, as Linux tells. @param {number | undefined} pid */
function peakOf(pid) {
  try {
    const kb = /VmHWM:\s*(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return kb === undefined ? undefined : Number(kb) * 1024;
  } catch {
    return undefined;
  }
}

/**
 * The command and the console on many sessions.
 *
 * @param {import("./index.js").Context} context
 * @returns {Promise<import("./index.js").Section>}
 */
export async function operating({ url, quick, progress }) {
  const count = quick ? 50_000 : 1_000_000;
  const admin = await connect(url);
  try {
    await admin.flushAll();
    const text = textOf(500);
    for (let from = 0; from < count; from += 10_000) {
      await fillMany(admin, PREFIX, from, Math.min(count, from + 10_000), text);
      progress(`operating, filled ${from} sessions`, (0.3 * from) / count);
    }
    const command = await ofCommand(admin, url, quick, progress);
    const app = await ofConsole({ admin, url, prefix: PREFIX, quick, progress });
    return {
      title: `Operating: ${count.toLocaleString("en-US")} sessions`,
      text: `On sessions of 500 bytes. The command runs as a child process with its output in a pipe; its memory is that
of the whole process at its peak, Node itself included. “Slowest command” is how long Redis was busy with one
command (SLOWLOG), in the best of three rounds; the rest are medians. An app with the console mounted answers
${RATE} requests of its own in a second, which read a session: alone; while ${CROWD} clients ask for a page of the
console again as soon as they have one, half of them the overview, half of them the list, each from a place of
its own to the next page; and, as a control, while the same clients ask the same app as often for a page of the
same size that costs nothing to make. ${HAS_CORES ? "The app has a core for itself, as in production; Redis and all clients share the others, and the hundred clients get what time is left." : "All of them share the cores of the machine."}`,
      tables: [
        {
          head: ["command", "first row", "whole", "memory", "slowest command"],
          rows: command.rows,
        },
        {
          head: ["the app's own requests", "median", "p99", "p99, × alone", "pages in a second"],
          rows: app.rows,
        },
        { head: ["goal for", "measured", "goal", "met"], rows: [...command.goals, ...app.goals] },
      ],
      charts: [],
    };
  } finally {
    await admin.configSet({ "slowlog-log-slower-than": "10000" });
    await admin.flushAll();
    await admin.close();
  }
}

/**
 * @param {import("./contenders.js").Client} admin
 * @param {string} url
 * @param {boolean} quick
 * @param {import("./index.js").Context["progress"]} progress
 */
async function ofCommand(admin, url, quick, progress) {
  const at = ["--url", url, "--prefix", PREFIX];
  await admin.configSet({ "slowlog-log-slower-than": "500", "slowlog-max-len": "100000" });
  /** @type {string[][]} */
  const rows = [];
  /**
   * Of some rounds the median; of what is at most, the least: what a command needs comes again in each
   * round, and what the machine does meanwhile does not.
   *
   * @param {string} name
   * @param {string[]} args
   * @param {Parameters<typeof run>[1]} [options]
   */
  const measure = async (name, args, options) => {
    /** @type {(Awaited<ReturnType<typeof run>> & { slowest: number })[]} */
    const rounds = [];
    for (let round = 0; round < (quick ? 1 : 3); round++) {
      await admin.sendCommand(["SLOWLOG", "RESET"]);
      progress(`operating, ${name}`, 0.4);
      const ran = await run([COMMAND, ...args, ...at], options);
      const slow = /** @type {[number, number, number][]} */ (
        /** @type {unknown} */ (await admin.sendCommand(["SLOWLOG", "GET", "-1"]))
      );
      rounds.push({ ...ran, slowest: Math.max(0, ...slow.map(([, , us]) => us / 1000)) });
    }
    const median = (/** @type {(ran: (typeof rounds)[number]) => number} */ of) =>
      spread(rounds.map(of)).median;
    const slowest = Math.min(...rounds.map((ran) => ran.slowest));
    const result = {
      first: median((ran) => ran.first),
      memory: Math.max(...rounds.map((ran) => ran.memory)),
      stop: median((ran) => ran.stop),
      codes: new Set(rounds.map((ran) => ran.code)),
      slowest,
    };
    rows.push([
      name,
      `${result.first.toFixed(0)} ms`,
      `${(median((ran) => ran.ms) / 1000).toFixed(1)} s`,
      `${(result.memory / 1e6).toFixed(0)} MB`,
      slowest < UNTOLD ? `< ${UNTOLD} ms` : `${slowest.toFixed(1)} ms`,
    ]);
    return result;
  };
  const list = await measure("list", ["list"]);
  await measure("list --largest 10", ["list", "--largest", "10"]);
  const head = await measure("list, read by head", ["list"], { readOnly: 100 });
  const doctor = await measure("doctor", ["doctor"]);
  const stopped = await measure("list, Ctrl-C", ["list"], { interruptAfter: 500 });

  const begins = [];
  /** @type {number[]} */
  const node = [];
  for (let round = 0; round < (quick ? 3 : 15); round++) {
    node.push((await run(["-e", "0"])).ms);
    begins.push((await run([COMMAND, "--help"])).ms);
  }
  const begin = spread(begins.map((ms, round) => ms - /** @type {number} */ (node[round])));
  const ms = (/** @type {number} */ value) => `${value.toFixed(0)} ms`;
  const memory = Math.max(list.memory, doctor.memory) / 1e6;
  const slowest = Math.max(list.slowest, doctor.slowest);
  const goals = [
    [
      "--help, more than node -e 0 (median)",
      ms(begin.median),
      `< ${GOALS.begin} ms`,
      verdict(begin.median < GOALS.begin),
    ],
    ["first row of list", ms(list.first), `< ${GOALS.first} ms`, verdict(list.first < GOALS.first)],
    [
      "memory of list and doctor",
      `${memory.toFixed(0)} MB`,
      `< ${GOALS.memory} MB`,
      verdict(memory < GOALS.memory),
    ],
    [
      "slowest command",
      `${slowest.toFixed(1)} ms`,
      `≤ ${GOALS.slowest} ms`,
      verdict(slowest <= GOALS.slowest),
    ],
    [
      "Ctrl-C, until it has ended",
      ms(stopped.stop),
      `< ${GOALS.stop} ms`,
      verdict(stopped.stop < GOALS.stop && isOnly(stopped.codes, 130)),
    ],
    ["list, read by head: exit code", [...head.codes].join(), "0", verdict(isOnly(head.codes, 0))],
  ];
  return { rows, goals };
}

/** @param {Set<number>} values @param {number} value */
const isOnly = (values, value) => values.size === 1 && values.has(value);
