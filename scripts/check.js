import { consumers } from "./consumers.js";
import { lockfile } from "./lockfile.js";
import { run } from "./run.js";

const script = (/** @type {string} */ name) => () => run("npm", ["run", "--silent", name]);

/** @type {[string, () => Promise<unknown>][]} */
const steps = [
  ["lock file", lockfile],
  ["layers of lib", () => run("node", ["scripts/layers.js"])],
  ["mutants of the simulator", () => run("node", ["scripts/simulate-mutants.js", "--apply"])],
  ["format", script("check:format")],
  // Before what follows: demo, bench and examples import the package by its name.
  ["build", script("build")],
  ["lint", script("check:lint")],
  ["types of sources and tests", script("check:types")],
  ["unused code and dependencies", script("check:unused")],
  ["publint", script("check:publint")],
  ["are the types wrong", script("check:attw")],
  ["tarball in consumer apps", consumers],
];

const seconds = (/** @type {number} */ since) =>
  `${((performance.now() - since) / 1000).toFixed(1)} s`;

const begin = performance.now();
let failed = 0;
for (const [name, step] of steps) {
  const start = performance.now();
  try {
    await step();
    console.log(`ok    ${name} (${seconds(start)})`);
  } catch (error) {
    failed++;
    console.log(`FAIL  ${name} (${seconds(start)})`);
    console.log(String(error instanceof Error ? error.message : error).replace(/^/gm, "      "));
  }
}
console.log(`checked in ${seconds(begin)}`);
console.log(`${steps.length - failed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
