// One server over TLS, as a user with a password, with the package redis.
import { readFileSync } from "node:fs";
import { createClient } from "redis";
import { RedisStore } from "redis-session-store";
import { serve } from "./app.js";

const { REDIS_CA, REDIS_USER, REDIS_PASSWORD } = process.env;
const client = createClient({
  url: process.env.REDIS_URL ?? "rediss://127.0.0.1:6380",
  ...(REDIS_USER ? { username: REDIS_USER } : {}),
  ...(REDIS_PASSWORD ? { password: REDIS_PASSWORD } : {}),
  // Only for a certificate that no public authority has signed.
  ...(REDIS_CA ? { socket: { tls: true, ca: readFileSync(REDIS_CA) } } : {}),
});
client.on("error", (error) => console.error(String(error)));
await client.connect();

serve(new RedisStore({ client }));
