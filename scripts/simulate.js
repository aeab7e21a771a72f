// Runs the store on a simulated Redis, in virtual time, with everything that can go wrong.
//
//   npm run simulate -- [--runs N] [--seed S] [--workers N] [--all]
//
// Prints how far it is, and on a failure the seed and the shortest history that was found. With `--all`
// it goes on then, and prints of each failure the seed and what was promised.
import { randomInt } from "node:crypto";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { explained, simulate } from "../__tests__/simulation/workers.js";

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "100000" },
    seed: { type: "string", default: String(randomInt(2 ** 32)) },
    workers: { type: "string", default: String(availableParallelism()) },
    all: { type: "boolean", default: false },
  },
});
const [seed, runs, most] = [values.seed, values.runs, values.workers].map(Number);
if (![seed, runs, most].every((value) => Number.isSafeInteger(value) && Number(value) >= 0)) {
  console.error("--runs, --seed and --workers are whole numbers");
  process.exit(2);
}
const workers = Math.max(1, Math.min(Number(most), Number(runs)));
const start = performance.now();
const { isTTY } = process.stderr;
let told = start;

console.log(`seed ${seed}, ${runs} runs on ${workers} ${workers === 1 ? "core" : "cores"}`);
let done = 0;
let events = 0;
/** @type {Record<string, number>} */
const leniencies = {};
/** @type {import("../__tests__/simulation/campaign.js").Failure[]} */
const failures = [];
while (done < Number(runs) && (values.all || failures.length === 0)) {
  const before = done;
  const job = {
    seed: Number(seed) + done,
    runs: Number(runs) - done,
    workers,
    shrink: !values.all,
  };
  const report = await simulate(job, {
    onProgress(more) {
      const now = performance.now();
      if (now - told < (isTTY ? 1000 : 30_000)) return;
      told = now;
      const rate = Math.round(((before + more) / (now - start)) * 1000);
      process.stderr.write(
        `${isTTY ? "\r" : ""}${before + more} runs, ${rate} a second${isTTY ? " " : "\n"}`,
      );
    },
  });
  const { failure } = report;
  done += failure?.runs ?? report.runs;
  events += report.events;
  for (const [reason, count] of Object.entries(report.leniencies)) {
    leniencies[reason] = (leniencies[reason] ?? 0) + count;
  }
  if (failure === undefined) continue;
  failures.push(failure);
  if (values.all) console.log(`seed ${failure.seed}, promise ${failure.promise}: ${failure.what}`);
}
if (isTTY) process.stderr.write("\r\x1b[K");

const ms = performance.now() - start;
const rate = Math.round((done / ms) * 1000);
console.log(`${done} runs, ${events} events in ${(ms / 1000).toFixed(1)} s, ${rate} runs a second`);
for (const [reason, count] of Object.entries(leniencies).sort(([, a], [, b]) => b - a)) {
  console.log(`lenient ${count} times: ${reason}`);
}
if (values.all) console.log(`${failures.length} of ${done} runs failed`);
else if (failures[0] !== undefined) console.log(`\n${explained(failures[0])}`);
if (failures.length > 0) process.exitCode = 1;
