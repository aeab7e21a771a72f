// Runs the tests with encryption in every store, and searches the commands and dumps of all servers for
// the content of sessions. What cannot run so is left out below.
//
//   npm run test:sealed -- [arguments of jest]

import { spawnSync } from "node:child_process";

/** Tests that are left out. */
const LEFT_OUT = [
  // Their stores run in processes of their own, which know no switch; or they have none.
  "/cli/",
  "/docs/",
  "/tools/",
  "/simulation/",
  // They bring keys of their own, and write sessions in plain where that is what they are about.
  "/store/keys-rotate",
  "/store/sealed-sessions",
  // It searches by itself, and writes content in plain so that the search finds it.
  "/save/redis-learns-nothing",
  // They look at the text itself, at its length, or at the list of clients of the server; or give one
  // prefix to a store and a part of it to another one's client, under which nothing opens.
  "/base/channels",
  "/metrics/",
  "/legacy/the-store-makes-its-client",
  "/read/binary-sessions-are-copied",
  "/read/stores-of-one-process",
];

const jest = new URL("../node_modules/jest/bin/jest.js", import.meta.url).pathname;
const own = process.argv.slice(2);
const args = [jest, ...own, "--testPathIgnorePatterns", LEFT_OUT.join("|")];
const { status } = spawnSync(process.execPath, args, {
  stdio: "inherit",
  env: { ...process.env, REDIS_SESSION_STORE_TEST_SEALED: "1" },
});
process.exitCode = status ?? 1;
