import { execFile } from "node:child_process";
import { access, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

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

/** Compiles lib/ as it is now; what `npm run build` left may be older. */
export async function build(): Promise<Build> {
  const dir = await mkdtemp(join(tmpdir(), "redis-session-store-build-"));
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const args = [tsc, "-p", join(root, "tsconfig.esm.json"), "--outDir", dir];
  await run(process.execPath, args).catch(async (error: unknown) => {
    // It compiles what has type errors too; those are the type check's business.
    await access(join(dir, "index.js")).catch(() => {
      throw error;
    });
  });
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
