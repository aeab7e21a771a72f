// One server with the package redis, version 4, 5 or 6.
import { createClient } from "redis";
import { RedisStore } from "redis-session-store";
import { serve } from "./app.js";

const client = createClient({ url: process.env.REDIS_URL ?? "redis://127.0.0.1:6379" });
client.on("error", (error) => console.error(String(error)));
await client.connect();

serve(new RedisStore({ client }));
