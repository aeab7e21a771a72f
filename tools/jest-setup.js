import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findRedisBinary } from "./redis-binary.js";
import { startRedis } from "./redis-server.js";
import { ARGS, searchContent, shown } from "./sealed-run.js";

/** One server for all tests; those that need more of it than a prefix start their own. And a folder for what is compiled. */
export default async function setup() {
  // The workers inherit both: none of them searches again.
  process.env.REDIS_SERVER_BINARY = await findRedisBinary();
  const isSealed = Boolean(process.env.REDIS_SESSION_STORE_TEST_SEALED);
  const { server, stop } = await (isSealed ? startSearched() : startPlain());
  process.env.REDIS_SESSION_STORE_TEST_URL = server.url;
  const build = await mkdtemp(join(tmpdir(), "redis-session-store-compiled-"));
  process.env.REDIS_SESSION_STORE_TEST_BUILD = build;
  const searched = join(build, "searched");
  if (isSealed) process.env.REDIS_SESSION_STORE_TEST_SEARCHED = searched;
  Object.assign(globalThis, {
    async endTests() {
      try {
        if (isSealed) console.log(sumOf(searched));
        await stop();
      } finally {
        await rm(build, { recursive: true });
      }
    },
  });
}

/** What was searched of the servers that tests have started; see __tests__/support/sealed.ts. @param {string} file */
function sumOf(file) {
  const sum = { commands: 0, sealedCommands: 0, dumps: 0, sealedDumps: 0 };
  const rows = readFileSync(file, "utf8").trim().split("\n");
  for (const row of rows) {
    const seen = /** @type {typeof sum} */ (JSON.parse(row));
    for (const name of /** @type {(keyof typeof sum)[]} */ (Object.keys(sum))) {
      sum[name] += seen[name];
    }
  }
  return `${rows.length} servers of tests: ${shown(sum)}`;
}

async function startPlain() {
  const server = await startRedis();
  return { server, stop: server.stop };
}

/** A server whose commands and dumps are searched for content; what is found fails the run. */
async function startSearched() {
  const server = await startRedis({ args: ARGS });
  const search = await searchContent(server);
  return {
    server,
    async stop() {
      try {
        console.log(await search.end());
      } finally {
        await server.stop();
      }
    },
  };
}
