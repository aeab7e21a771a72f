import { execFile } from "node:child_process";

/**
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string }} [options]
 * @returns {Promise<string>} what it wrote to its standard output
 * @throws {Error} with everything it wrote when it fails
 */
export function run(command, args, { cwd } = {}) {
  return new Promise((resolve, reject) => {
    const options = { cwd, timeout: 300_000, maxBuffer: 64 << 20 };
    execFile(command, args, options, (error, stdout, stderr) => {
      if (!error) return resolve(stdout);
      const output = `${stdout}\n${stderr}`.trim();
      return reject(new Error(`${command} ${args.join(" ")}\n${output || error.message}`));
    });
  });
}
