// A primary that sentinels watch, with ioredis, version 5 or 6.
import { Redis } from "ioredis";
import { RedisStore } from "redis-session-store";
import { addresses } from "./addresses.js";
import { serve } from "./app.js";

const client = new Redis({
  name: process.env.REDIS_NAME ?? "mymaster",
  sentinels: addresses("REDIS_SENTINELS", "127.0.0.1:26379"),
});
client.on("error", (error) => console.error(String(error)));

serve(new RedisStore({ client }));
