import { explained, simulate } from "./workers.js";

/*
 * Runs that hold. Others are known that do not: the seeds 5889, 109641, 3597883571 and 1970461058 are
 * open. Until they are settled, `npm run simulate` looks for more, and this test holds what is won.
 */
const RUNS = 4000;
const SEED = Number(process.env.SIMULATION_SEED ?? 1);

test("whatever goes wrong, in 4,000 simulated runs the store keeps its contract", async () => {
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
