// A primary that sentinels watch, with the package redis, version 5 or 6.
import { createSentinel } from "redis";
import { RedisStore } from "redis-session-store";
import { addresses } from "./addresses.js";
import { serve } from "./app.js";

const client = createSentinel({
  name: process.env.REDIS_NAME ?? "mymaster",
  sentinelRootNodes: addresses("REDIS_SENTINELS", "127.0.0.1:26379"),
});
client.on("error", (error) => console.error(String(error)));
await client.connect();

serve(new RedisStore({ client }));
