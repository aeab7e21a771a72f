import { existsSync, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { availableParallelism, cpus, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { startRedis } from "../tools/redis-server.js";
import { bulk } from "./bulk.js";
import { draw } from "./chart.js";
import { comparison } from "./comparison.js";
import { connect } from "./contenders.js";
import { distance } from "./distance.js";
import { encryption } from "./encryption.js";
import { extras } from "./extras.js";
import { growth } from "./growth.js";
import { http } from "./http.js";
import { logout } from "./logout.js";
import { operating } from "./operating.js";
import { reasonsOf } from "./reasons.js";
import { store } from "./store.js";
import { table } from "./table.js";
import { writers } from "./writers.js";

/**
 * @typedef {object} Context what a section of the bench gets
 * @property {string} url of a Redis server of its own
 * @property {boolean} quick fewer rounds: a look, no result
 * @property {(what: string, share: number) => void} progress
 */

/**
 * @typedef {object} Chart
 * @property {string} file
 * @property {string} alt
 * @property {import("vega-lite").TopLevelSpec} spec
 */

/**
 * @typedef {object} Section
 * @property {string} title
 * @property {string} text how it was measured
 * @property {{ head: string[], rows: string[][] }[]} tables
 * @property {Chart[]} charts
 */

/** @type {Record<string, (context: Context) => Promise<Section>>} */
const sections = {
  store,
  http,
  distance,
  logout,
  writers,
  comparison,
  encryption,
  extras,
  growth,
  bulk,
  operating,
};

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string", default: Object.keys(sections).join(",") },
  },
});
const chosen = options.only.split(",");
for (const name of chosen) {
  if (!(name in sections))
    throw new Error(`--only ${name}: there are ${Object.keys(sections).join(", ")}`);
}

const begin = performance.now();
let shown = 0;
/** @type {Context["progress"]} */
function progress(what, share) {
  const now = performance.now();
  if (now - shown < (process.stderr.isTTY ? 200 : 5000)) return;
  shown = now;
  const line = `${what}: ${Math.round(share * 100)} % (${Math.round((now - begin) / 1000)} s)`;
  process.stderr.write(process.stderr.isTTY ? `\r${line}\x1b[K` : `${line}\n`);
}

/** @param {string} url */
async function machine(url) {
  const client = await connect(url);
  const redis = /^(?:valkey|redis)_version:(\S+)/m.exec(await client.info("server"))?.[1];
  await client.close();
  const names = ["redis", "connect-redis", "express-session"];
  const packages = names.map((name) => {
    const manifest = new URL(`../node_modules/${name}/package.json`, import.meta.url);
    return `${name} ${JSON.parse(readFileSync(manifest, "utf8")).version}`;
  });
  return `${availableParallelism()} cores (${cpus()[0]?.model.trim()}); Node ${process.versions.node}, Redis server ${redis}; ${packages.join(", ")}`;
}

/** Below this load a machine counts as quiet. */
const QUIET = 0.5;

/** How busy the machine was before all this began. */
function howBusy() {
  const load = /** @type {number} */ (loadavg()[0]);
  const noted = `Load average before it began: ${load.toFixed(2)}`;
  return load < QUIET ? `${noted}.` : `${noted}, **the machine was not quiet**.`;
}

const busy = howBusy();

const results = new URL("./RESULTS.md", import.meta.url);

/** The sections that stand in the results already, if they are of this machine. @param {string} intro */
function measured(intro) {
  const text = existsSync(results) ? readFileSync(results, "utf8") : "";
  const [before, ...parts] = text.split(/^<!-- (\w+) -->\n\n/m);
  if (before?.trim() !== intro) return new Map();
  return new Map(
    parts.flatMap((part, place) => (place % 2 ? [[parts[place - 1], part.trim()]] : [])),
  );
}

const folder = new URL("./results/", import.meta.url);
const say = (/** @type {string} */ paragraph) => {
  if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
  console.log(`${paragraph}\n`);
  return paragraph;
};

const server = await startRedis();
try {
  const about = await machine(server.url);
  const intro = say(`# Benchmark

${about}.

The contenders of a section run side by side: in each round all of them in turn, in an order that alternates,
each in a process of its own unless told otherwise. Times jump with whatever else the machine does, so the
result is the ratio within a round: its median over the rounds, and the smallest and the largest. A goal counts
for the median, and stands here as it was set before the measurement. Parts may
have been measured one after the other; each says how busy the machine was before it, or the parts before it
in the same run, began: below ${QUIET} it counts as quiet.`);
  const report = options.quick ? new Map() : measured(intro);
  for (const name of chosen) {
    const run = /** @type {typeof store} */ (sections[name]);
    const { title, text, tables, charts } = await run({
      url: server.url,
      quick: options.quick,
      progress,
    });
    const part = [`## ${title}`, busy, text, ...tables.map(({ head, rows }) => table(head, rows))];
    const why = reasonsOf(part.join("\n"));
    if (why.length > 0) part.push(`Why not:\n\n${why.map((one) => `- ${one}`).join("\n")}`);
    for (const paragraph of part) say(paragraph);
    for (const { file, alt, spec } of charts) {
      part.push(`![${alt}](results/${file})`);
      if (options.quick) continue;
      await mkdir(folder, { recursive: true });
      await writeFile(new URL(file, folder), await draw(spec));
    }
    report.set(name, part.join("\n\n"));
    if (options.quick) continue;
    const parts = Object.keys(sections)
      .filter((one) => report.has(one))
      .map((one) => `<!-- ${one} -->\n\n${report.get(one)}`);
    await writeFile(results, `${[intro, ...parts].join("\n\n")}\n`);
  }
} finally {
  await server.stop();
}
console.log(
  options.quick
    ? "A quick look: bench/RESULTS.md stays as it is."
    : "Written to bench/RESULTS.md and bench/results/.",
);
