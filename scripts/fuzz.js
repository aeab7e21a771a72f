// Runs the property test with one seed after the other, until it fails or the time is over.
//
//   npm run fuzz -- [--minutes 10] [--runs 20000] [--seed 1]
//
// A failure prints its seed; `--seed` with it repeats the same interleavings.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    runs: { type: "string", default: "20000" },
    seed: { type: "string" },
  },
});

const until = Date.now() + Number(values.minutes) * 60_000;
let seed = Number(values.seed ?? Math.trunc(Math.random() * 2 ** 30));
if (!Number.isFinite(until) || !(Number(values.runs) > 0) || !Number.isInteger(seed)) {
  console.error("--minutes and --runs take a number, --seed a whole one");
  process.exit(2);
}

const jest = createRequire(import.meta.url).resolve("jest/bin/jest");
let interleavings = 0;
do {
  const env = {
    ...process.env,
    REDIS_SESSION_STORE_SEED: String(seed),
    REDIS_SESSION_STORE_RUNS: values.runs,
  };
  const child = spawn(
    process.execPath,
    [jest, "__tests__/save/interleavings-follow-the-rules.test.ts"],
    {
      env,
      stdio: "inherit",
    },
  );
  const [code] = await once(child, "exit");
  if (code !== 0) {
    console.error(`failed: npm run fuzz -- --seed ${seed} --runs ${values.runs}`);
    process.exit(1);
  }
  interleavings += Number(values.runs);
  // Each variant of the test counts on from the seed by one.
  seed += 100;
} while (Date.now() < until);
console.log(`${interleavings} interleavings and no failure`);
