// Runs the tests with encryption in every store, and searches the server's commands and dumps for the
// content of sessions. What cannot run so is left out below.
//
//   npm run test:sealed -- [arguments of jest]

import { spawnSync } from "node:child_process";

/** Tests whose stores run in processes of their own, which know no switch, or have no store. */
const LEFT_OUT = ["/docs/", "/tools/", "/legacy/own-client", "/simulation/"];

const jest = new URL("../node_modules/jest/bin/jest.js", import.meta.url).pathname;
const args = [jest, "--testPathIgnorePatterns", LEFT_OUT.join("|"), ...process.argv.slice(2)];
const { status } = spawnSync(process.execPath, args, {
  stdio: "inherit",
  env: { ...process.env, REDIS_SESSION_STORE_TEST_SEALED: "1" },
});
process.exitCode = status ?? 1;
