// Runs the store on a simulated Redis, in virtual time, with everything that can go wrong.
//
//   npm run simulate -- [--runs N] [--seed S] [--workers N]
//
// Prints how far it is, and on a failure the seed and the shortest history that was found.
import { randomInt } from "node:crypto";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { explained, simulate } from "../__tests__/simulation/workers.js";

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "100000" },
    seed: { type: "string", default: String(randomInt(2 ** 32)) },
    workers: { type: "string", default: String(availableParallelism()) },
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
const report = await simulate(
  { seed: Number(seed), runs: Number(runs), workers },
  {
    onProgress(done) {
      const now = performance.now();
      if (now - told < (isTTY ? 1000 : 30_000)) return;
      told = now;
      const rate = Math.round((done / (now - start)) * 1000);
      process.stderr.write(
        `${isTTY ? "\r" : ""}${done} runs, ${rate} a second${isTTY ? " " : "\n"}`,
      );
    },
  },
);
if (isTTY) process.stderr.write("\r\x1b[K");

const rate = Math.round((report.runs / report.ms) * 1000);
const took = (report.ms / 1000).toFixed(1);
console.log(`${report.runs} runs, ${report.events} events in ${took} s, ${rate} runs a second`);
for (const [reason, count] of Object.entries(report.leniencies).sort(([, a], [, b]) => b - a)) {
  console.log(`lenient ${count} times: ${reason}`);
}
if (report.failure !== undefined) {
  console.log(`\n${explained(report.failure)}`);
  process.exitCode = 1;
}
