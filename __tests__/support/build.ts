import { execFile } from "node:child_process";
import { cp, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { compiled } from "./compiled.js";

const run = promisify(execFile);
const root = resolve(__dirname, "../..");

/** The library as its users get it, in a folder of its own. */
export interface Build {
  /** The compiled modules and their declarations, `index.js` first of all. */
  readonly dir: string;
  /**
   * Runs an ES module in a process of its own, in the folder of the build.
   *
   * @returns what it prints, as JSON
   */
  run<Result>(code: string): Promise<Result>;
  remove(): Promise<void>;
}

/** lib/ as it is now, compiled. */
export async function build(): Promise<Build> {
  const dir = await mkdtemp(join(tmpdir(), "redis-session-store-build-"));
  await cp(await compiled("esm"), dir, { recursive: true });
  await symlink(join(root, "node_modules"), join(dir, "node_modules"));
  await writeFile(join(dir, "package.json"), '{"type":"module"}');
  return {
    dir,
    async run<Result>(code: string) {
      const { stdout } = await run(process.execPath, ["--input-type=module", "-e", code], {
        cwd: dir,
        timeout: 60_000,
      });
      return JSON.parse(stdout) as Result;
    },
    remove: () => rm(dir, { recursive: true, force: true }),
  };
}
