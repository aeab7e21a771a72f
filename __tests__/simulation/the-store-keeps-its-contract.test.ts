import { randomInt } from "node:crypto";
import { explained, simulate } from "./workers.js";

/** So many runs, each with another plan. */
const RUNS = 10_000;
const SEED = Number(process.env.SIMULATION_SEED ?? randomInt(2 ** 32));

test("whatever goes wrong, in 10,000 simulated runs the store keeps its contract", async () => {
  console.log(`simulation: seed ${SEED}`);
  const report = await simulate({ seed: SEED, runs: RUNS, workers: 2 });
  if (report.failure !== undefined) throw new Error(explained(report.failure));
  expect(report.runs).toBe(RUNS);
}, 300_000);

test("a seed gives the same runs again", async () => {
  const once = () => simulate({ seed: 7, runs: 200, workers: 1 });
  const [one, other] = await Promise.all([once(), once()]);
  expect(other.fingerprints).toEqual(one.fingerprints);
});
