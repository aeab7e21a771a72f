import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findRedisBinary } from "./redis-binary.js";
import { startRedis } from "./redis-server.js";
import { ARGS, searchContent } from "./sealed-run.js";

/** One server for all tests; those that need more of it than a prefix start their own. And a folder for what is compiled. */
export default async function setup() {
  // The workers inherit both: none of them searches again.
  process.env.REDIS_SERVER_BINARY = await findRedisBinary();
  const isSealed = Boolean(process.env.REDIS_SESSION_STORE_TEST_SEALED);
  const { server, stop } = await (isSealed ? startSearched() : startPlain());
  process.env.REDIS_SESSION_STORE_TEST_URL = server.url;
  const build = await mkdtemp(join(tmpdir(), "redis-session-store-compiled-"));
  process.env.REDIS_SESSION_STORE_TEST_BUILD = build;
  Object.assign(globalThis, {
    endTests: () => Promise.all([stop(), rm(build, { recursive: true })]),
  });
}

async function startPlain() {
  const server = await startRedis();
  return { server, stop: server.stop };
}

/** A server whose commands and dumps are searched for content; what is found fails the run. */
async function startSearched() {
  const dir = await mkdtemp(join(tmpdir(), "redis-session-store-sealed-"));
  const server = await startRedis({ args: ARGS, dir });
  const search = await searchContent(server, dir);
  return {
    server,
    async stop() {
      try {
        console.log(await search.end());
      } finally {
        await server.stop();
        await rm(dir, { recursive: true, force: true });
      }
    },
  };
}
