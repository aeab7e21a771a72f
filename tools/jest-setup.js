import { findRedisBinary } from "./redis-binary.js";
import { startRedis } from "./redis-server.js";

/** One server for all tests; those that need more of it than a prefix start their own. */
export default async function setup() {
  // The workers inherit both: none of them searches again.
  process.env.REDIS_SERVER_BINARY = await findRedisBinary();
  const server = await startRedis();
  process.env.REDIS_SESSION_STORE_TEST_URL = server.url;
  Object.assign(globalThis, { stopTestRedis: server.stop });
}
