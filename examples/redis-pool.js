// A pool of connections to one server with the package redis, version 5 or 6.
import { createClientPool } from "redis";
import { RedisStore } from "redis-session-store";
import { serve } from "./app.js";

const url = process.env.REDIS_URL ?? "redis://127.0.0.1:6379";
const client = createClientPool({ url }, { minimum: 2, maximum: 10 });
client.on("error", (error) => console.error(String(error)));
await client.connect();

serve(new RedisStore({ client }));
