// Runs the suites that talk to Redis on every server that can be had, and prints a table.
//
//   npm run test:servers -- [--suites conformance,save] [NAME or PATH ...]
//
// NAME is "default" (the server that `npm test` takes) or one that tools/debian-servers.js lists,
// which is downloaded once into ~/.cache/redis-session-store and runs beside the machine's own
// packages; PATH is a server of your own. Without either: all of them. Where one cannot be had, a
// sentence says so and the others run. To run anything else on a server, give its path:
//
//   REDIS_SERVER_BINARY=$(npm run --silent test:servers -- --path valkey-8.1) npx jest __tests__/save

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { debianServer, debianServers } from "../tools/debian-servers.js";
import { findRedisBinary, versionOf } from "../tools/redis-binary.js";

/** What depends on the server. */
const SUITES = ["conformance", "save", "read", "users", "events", "legacy", "simulation/simulated"];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    suites: { type: "string", default: SUITES.join(",") },
    path: { type: "boolean", default: false },
  },
});
const suites = values.suites.split(",");
const names = positionals.length > 0 ? positionals : ["default", ...Object.keys(debianServers)];

/** @param {string} name @returns {Promise<string>} */
async function pathOf(name) {
  if (name === "default") return findRedisBinary();
  if (Object.hasOwn(debianServers, name)) {
    return debianServer(debianServers[/** @type {keyof typeof debianServers} */ (name)]);
  }
  if (name.includes("/")) return findRedisBinary({ env: { REDIS_SERVER_BINARY: name } });
  throw new Error(
    `"${name}" is neither a path nor one of ${Object.keys(debianServers).join(", ")}`,
  );
}

/** The first line of what apt says is the reason; the rest repeats it. @param {unknown} error */
function reasonOf(error) {
  const { message, stderr } = /** @type {Error & { stderr?: string }} */ (error);
  return (stderr?.trim() || message).split("\n", 1)[0];
}

if (values.path) {
  for (const name of names) console.log(await pathOf(name));
  process.exit();
}

const jest = createRequire(import.meta.url).resolve("jest/bin/jest");
const dir = mkdtempSync(join(tmpdir(), "redis-session-store-servers-"));

/** What one run of jest came to. @typedef {{ passed: number, failed: number, skipped: number, seconds: number }} Outcome */

/**
 * Runs a suite, and what has failed of it once more: a machine that stands still for a second makes a
 * test of outages fail.
 *
 * @param {string} binary @param {string} other @param {string} suite @returns {Promise<Outcome>}
 */
async function test(binary, other, suite) {
  const first = await runSuite(binary, other, suite, []);
  if (first.failed === 0) return first;
  console.log(`${first.failed} failed and are run once more`);
  const again = await runSuite(binary, other, suite, ["--onlyFailures"]);
  return { ...first, failed: again.failed, seconds: first.seconds + again.seconds };
}

/**
 * @param {string} binary @param {string} other @param {string} suite @param {string[]} options
 * @returns {Promise<Outcome>}
 */
async function runSuite(binary, other, suite, options) {
  const outputFile = join(dir, "outcome.json");
  rmSync(outputFile, { force: true });
  const start = performance.now();
  const child = spawn(
    process.execPath,
    [jest, "--json", `--outputFile=${outputFile}`, `__tests__/${suite}`, ...options],
    {
      // Its standard output is the JSON again.
      stdio: ["ignore", "ignore", "inherit"],
      env: {
        ...process.env,
        REDIS_SERVER_BINARY: binary,
        REDIS_SESSION_STORE_OTHER_SERVER: other,
      },
    },
  );
  const [code] = await once(child, "exit");
  const seconds = (performance.now() - start) / 1000;
  let passed = 0;
  let failed = 0;
  let skipped = 0;
  try {
    const outcome = JSON.parse(readFileSync(outputFile, "utf8"));
    passed = outcome.numPassedTests;
    failed = outcome.numFailedTests;
    skipped = outcome.numPendingTests;
  } catch {
    // jest itself failed; its exit code says so.
  }
  // A file that cannot be loaded, or what fails after its tests, has no failed test.
  return { passed, failed: failed || (code === 0 ? 0 : 1), skipped, seconds };
}

/** @type {string[][]} */
const rows = [["server", "version", ...suites, "seconds"]];
const totals = { passed: 0, failed: 0, skipped: 0 };
try {
  for (const name of names) {
    /** @type {string} */
    let binary;
    try {
      binary = await pathOf(name);
    } catch (error) {
      // What was asked for by its path is there or is a mistake.
      if (!Object.hasOwn(debianServers, name)) throw error;
      console.log(`${name} cannot be had here and is left out: ${reasonOf(error)}`);
      continue;
    }
    const row = [name, await versionOf(binary)];
    // Tests of servers of two kinds take the default one beside it.
    const other = name === "default" ? "" : await findRedisBinary();
    let time = 0;
    for (const suite of suites) {
      console.log(`${name}: ${suite}`);
      const { passed, failed, skipped, seconds } = await test(binary, other, suite);
      totals.passed += passed;
      totals.failed += failed;
      totals.skipped += skipped;
      time += seconds;
      row.push(failed > 0 ? `${failed} of ${passed + failed} failed` : `${passed} passed`);
    }
    rows.push([...row, time.toFixed(0)]);
  }
} finally {
  rmSync(dir, { recursive: true, force: true });
}

const widths = rows[0]?.map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0))) ?? [];
for (const row of rows) {
  console.log(
    row
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}
console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
process.exitCode = totals.failed > 0 ? 1 : 0;
