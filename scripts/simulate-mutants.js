// Runs the simulator on the library with one line undone, for each of a list of lines: it has to
// notice all of them. Prints after how many runs it did.
//
//   npm run simulate:mutants -- [--seconds 60] [--seed S] [--apply] [WORD ...]
//
// With words only those mutants that have one in their name or file. `--apply` runs nothing and only
// looks whether each line is still there.
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { patched, root } from "../__tests__/simulation/loader.js";
import { mutants } from "../__tests__/simulation/mutants.js";
import { simulate } from "../__tests__/simulation/workers.js";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: "string", default: "60" },
    seed: { type: "string", default: "1" },
    apply: { type: "boolean", default: false },
  },
});

const applied = mutants.filter((mutant) => {
  try {
    patched(readFileSync(join(root, mutant.file), "utf8"), mutant);
    return true;
  } catch (error) {
    console.error(`"${mutant.name}" no longer applies: ${/** @type {Error} */ (error).message}`);
    return false;
  }
});
const isWhole = applied.length === mutants.length;
if (values.apply) process.exit(isWhole ? 0 : 1);

const chosen = applied.filter(
  ({ name, file }) =>
    positionals.length === 0 ||
    positionals.some((word) => name.includes(word) || file.includes(word)),
);
const workers = availableParallelism();
const ms = Number(values.seconds) * 1000;
let survivors = 0;
for (const mutant of chosen) {
  const start = performance.now();
  const job = {
    seed: Number(values.seed),
    runs: 1_000_000,
    workers,
    patches: [mutant],
    shrink: false,
  };
  /** @type {string} */
  let outcome;
  try {
    // A store that hangs is caught as well.
    const { failure } = await simulate(job, { patience: ms, ms });
    if (failure === undefined) {
      survivors++;
      outcome = "NOT CAUGHT";
    } else outcome = `caught after ${failure.runs} runs by promise ${failure.promise}`;
  } catch (error) {
    outcome = `caught: ${/** @type {Error} */ (error).message.split("\n", 1)[0]}`;
  }
  const took = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`${outcome}, ${took} s: ${mutant.name} (${mutant.file})`);
}
console.log(`${chosen.length - survivors} of ${chosen.length} mutants caught`);
process.exitCode = survivors > 0 || !isWhole ? 1 : 0;
