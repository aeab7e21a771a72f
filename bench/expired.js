import { createClient } from "redis";
import { RedisStore } from "redis-session-store";
import { startRedis } from "../tools/redis-server.js";

// How late the event `expired` comes: Redis announces an expiry when it notices it, and it looks
// through the keys that have one at a constant pace. Nothing reads the sessions here.

const SAMPLE = 200;
const PATIENCE_MS = Number(process.argv[2] ?? 600) * 1000;
const sizes = (process.argv[3] ?? "1000,10000,100000,1000000").split(",").map(Number);

/** @param {number} others how many live sessions there are beside those that expire */
async function measure(others) {
  const server = await startRedis();
  const client = createClient({ url: server.url });
  await client.connect();
  const fill =
    "for i = ARGV[1], ARGV[2] do redis.call('SET', 'sess:live' .. i, '{}', 'PX', 86400000 + i) end";
  for (let from = 1; from <= others; from += 10_000) {
    const to = Math.min(others, from + 9999);
    await client.eval(fill, { arguments: [String(from), String(to)] });
  }
  const store = new RedisStore({ client });
  const events = await store.watch();
  /** @type {number[]} */
  const late = [];
  const done = new Promise((resolve) => {
    events.on("expired", () => {
      late.push(Date.now() - end);
      if (late.length === SAMPLE) resolve(undefined);
    });
    setTimeout(resolve, PATIENCE_MS + 1000);
  });
  const end = Date.now() + 1000;
  for (let i = 0; i < SAMPLE; i++) await client.set(`sess:short${i}`, "{}", { PXAT: end });
  await done;
  store.close();
  client.destroy();
  await server.stop();
  late.sort((a, b) => a - b);
  /** @param {number} share */
  const at = (share) => {
    const ms = late[Math.ceil(share * SAMPLE) - 1];
    return ms === undefined ? `> ${PATIENCE_MS / 1000} s` : `${(ms / 1000).toFixed(1)} s`;
  };
  console.log(
    `${others} live sessions: half after ${at(0.5)}, 95 % after ${at(0.95)}, all after ${at(1)}; ${late.length} of ${SAMPLE} came`,
  );
}

for (const others of sizes) await measure(others);
process.exit();
