import { RedisStore as ConnectRedis } from "connect-redis";
import { RedisStore } from "redis-session-store";
import { connect } from "./contenders.js";
import { serve } from "./processes.js";

/** One bulk operation in a process of its own: how long it took and what memory it needed. */

const [name, url, prefix] = /** @type {[string, string, string]} */ (process.argv.slice(2));
const client = await connect(url);
const store =
  name === "ours" ? new RedisStore({ client, prefix }) : new ConnectRedis({ client, prefix });

/** @type {Record<string, () => Promise<number>>} */
const operations = {
  length: async () => Number(await store.length()),
  all: async () => /** @type {unknown[]} */ (await store.all()).length,
  // connect-redis does not tell how many there were.
  clear: async () => {
    await store.clear();
    return client.dbSize();
  },
  "sessions()": async () => {
    let count = 0;
    for await (const { expires } of /** @type {RedisStore} */ (store).sessions()) {
      if (expires !== null) count++;
    }
    return count;
  },
};

serve(async (/** @type {{ operation: string }} */ { operation }) => {
  const before = process.memoryUsage.rss();
  const begin = performance.now();
  const count = await operations[operation]?.();
  const ms = performance.now() - begin;
  const grown = process.resourceUsage().maxRSS * 1024 - before;
  return { ms, grown, count };
});
