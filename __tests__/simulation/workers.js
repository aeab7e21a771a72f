// Runs a campaign on several cores.
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";

/** @typedef {import("./campaign.js").Job} Job */
/** @typedef {import("./campaign.js").Failure} Failure */
/** @typedef {import("./worker.js").Message} Message */

/**
 * What came of a campaign.
 * @typedef {object} Report
 * @property {number} runs
 * @property {number} events
 * @property {number} ms - real ones
 * @property {Record<string, number>} leniencies
 * @property {number[]} fingerprints - of what each worker has seen
 * @property {Failure | undefined} failure - the first one, by the number of its run
 */

const file = fileURLToPath(new URL("worker.js", import.meta.url));

/**
 * Runs plans until one breaks a promise or all are done.
 *
 * @param {Omit<Job, "worker">} job
 * @param {object} [options]
 * @param {(runs: number) => void} [options.onProgress] - told now and then how many are done
 * @param {number} [options.patience] - after so many ms without a sign of life a worker hangs
 * @param {number} [options.ms] - when no new run is begun any more
 * @returns {Promise<Report>}
 */
export async function simulate(
  job,
  { onProgress = () => {}, patience = 60_000, ms = Number.POSITIVE_INFINITY } = {},
) {
  const start = performance.now();
  const done = Array.from({ length: job.workers }, () => 0);
  /** @type {import("node:child_process").ChildProcess[]} */
  const children = [];
  const works = done.map(async (_, worker) => {
    const child = fork(file, [], { execArgv: [], stdio: ["ignore", "inherit", "inherit", "ipc"] });
    children.push(child);
    try {
      return await new Promise((resolve, reject) => {
        const hangs = () => reject(new Error(`a worker has not been heard of for ${patience} ms`));
        let timer = setTimeout(hangs, patience);
        child.on("message", (/** @type {Message} */ message) => {
          clearTimeout(timer);
          if ("result" in message) {
            const { failure } = message.result;
            // The others go on up to that run only: they may find an earlier one.
            if (failure)
              for (const other of children) if (other.connected) other.send({ stop: failure.runs });
            return resolve(message.result);
          }
          if ("error" in message) return reject(new Error(message.error));
          timer = setTimeout(hangs, patience);
          done[worker] = message.runs;
          return onProgress(done.reduce((sum, runs) => sum + runs, 0));
        });
        child.on("error", reject);
        child.on("exit", (code) => {
          clearTimeout(timer);
          reject(new Error(`a worker ended with code ${code}`));
        });
        child.send({
          ...job,
          worker,
          ...(ms < Number.POSITIVE_INFINITY && { until: Date.now() + ms }),
        });
      });
    } finally {
      child.removeAllListeners("exit");
      child.kill("SIGKILL");
    }
  });
  try {
    /** @type {import("./campaign.js").Result[]} */
    const results = await Promise.all(works);
    /** @type {Record<string, number>} */
    const leniencies = {};
    for (const each of results) {
      for (const [reason, count] of Object.entries(each.leniencies)) {
        leniencies[reason] = (leniencies[reason] ?? 0) + count;
      }
    }
    const failures = results.flatMap(({ failure }) => failure ?? []);
    failures.sort((a, b) => a.runs - b.runs);
    return {
      runs: results.reduce((sum, { runs }) => sum + runs, 0),
      events: results.reduce((sum, { events }) => sum + events, 0),
      ms: performance.now() - start,
      leniencies,
      fingerprints: results.map(({ fingerprint }) => fingerprint),
      failure: failures[0],
    };
  } finally {
    for (const child of children) child.kill("SIGKILL");
  }
}

/**
 * A failure for readers: what was promised, by which seed it broke, and what happened.
 * @param {Failure} failure
 */
export function explained({ seed, promise, what, told, plan }) {
  return [
    `promise ${promise} of the contract is broken: ${what}`,
    "",
    "what happened, the first column in ms:",
    ...told,
    "",
    `options: ${shown(plan.variant)}`,
    `again:   npm run simulate -- --runs 1 --seed ${seed}`,
  ].join("\n");
}

/** @param {object} options */
function shown(options) {
  return Object.entries(options)
    .filter(([, value]) => value !== undefined && value !== false)
    .map(([name, value]) => `${name} ${value}`)
    .join(", ");
}
