import { spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";

/** Whether this machine lets processes have cores of their own. */
export const HAS_CORES =
  availableParallelism() > 1 && spawnSync("taskset", ["-p", String(process.pid)]).status === 0;

/**
 * Has a process do its work where nobody else has any, as if it were on another machine.
 *
 * @param {number} pid
 */
export function giveWay(pid) {
  if (HAS_CORES) spawnSync("chrt", ["--all-tasks", "--idle", "--pid", "0", String(pid)]);
}

/**
 * Gives one process the first core for itself, of these; the others get the rest.
 *
 * @param {number} pid
 * @param {number[]} others
 */
export function giveCore(pid, others) {
  if (!HAS_CORES) return;
  const put = (/** @type {number} */ process, /** @type {string} */ cores) =>
    spawnSync("taskset", ["-acp", cores, String(process)]);
  put(pid, "0");
  for (const other of others) put(other, `1-${availableParallelism() - 1}`);
}
