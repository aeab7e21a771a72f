import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, rename, rmdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";

const root = resolve(__dirname, "../..");

/**
 * lib/ as it is now, compiled once for all test files of a run; what `npm run build` left may be older.
 *
 * @returns the folder; others read it too, so nobody may change it
 */
export async function compiled(form: "esm" | "cjs"): Promise<string> {
  const folder = process.env.REDIS_SESSION_STORE_TEST_BUILD;
  if (folder === undefined) throw new Error("the run has no folder for what is compiled");
  const done = join(folder, form);
  const claim = `${done}-claim`;
  while (!existsSync(done)) {
    try {
      await mkdir(claim);
    } catch {
      // Another worker is at it.
      await delay(50);
      continue;
    }
    try {
      if (!existsSync(done)) await compile(form, done);
    } finally {
      await rmdir(claim);
    }
  }
  return done;
}

async function compile(form: "esm" | "cjs", to: string): Promise<void> {
  const half = `${to}-half`;
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const args = [tsc, "-p", join(root, `tsconfig.${form}.json`), "--outDir", half];
  await promisify(execFile)(process.execPath, args).catch((error: unknown) => {
    // It compiles what has type errors too; those are the type check's business.
    if (!existsSync(join(half, "index.js"))) throw error;
  });
  await rename(half, to);
}
