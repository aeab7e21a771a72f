// One server with iovalkey.
import { Redis } from "iovalkey";
import { RedisStore } from "redis-session-store";
import { serve } from "./app.js";

const client = new Redis(process.env.REDIS_URL ?? "redis://127.0.0.1:6379");
client.on("error", (error) => console.error(String(error)));

serve(new RedisStore({ client }));
