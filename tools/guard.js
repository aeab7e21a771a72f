import { spawn } from "node:child_process";

// Waits for the end of its input, which comes when this process is gone: also
// by SIGKILL or a crash, when no handler of ours could run.
const script = 'read -r _; kill -9 "$1" 2>/dev/null; [ -z "$2" ] || rm -rf -- "$2"';

/**
 * Sees to it that a process does not outlive this one.
 *
 * @param {number} pid what to kill; a negative number is a process group
 * @param {string} [dir] a directory to remove afterwards
 * @returns {() => void} ends the guard; the process and the directory are the caller's again
 */
export function guard(pid, dir = "") {
  const watcher = spawn("sh", ["-c", script, "guard", String(pid), dir], {
    stdio: ["pipe", "ignore", "ignore"],
    // Ctrl-C goes to a whole process group; the guard must survive it.
    detached: true,
  });
  watcher.unref();
  /** @type {import("node:net").Socket} */ (watcher.stdin).unref();
  return () => {
    watcher.kill("SIGKILL");
  };
}
