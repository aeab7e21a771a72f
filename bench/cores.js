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

/** @param {string} cores @param {number} pid */
const put = (cores, pid) => HAS_CORES && spawnSync("taskset", ["-acp", cores, String(pid)]);

/**
 * Gives one process the first core for itself, of these; the others get the rest.
 *
 * @param {number} pid
 * @param {number[]} others
 */
export function giveCore(pid, others) {
  put("0", pid);
  for (const other of others) put(`1-${availableParallelism() - 1}`, other);
}

/** Lets a process have all cores again. @param {number} pid */
export function giveAllCores(pid) {
  put(`0-${availableParallelism() - 1}`, pid);
}
