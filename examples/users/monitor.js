// Prints what happens to sessions, whichever server or program does it.
import { createClient } from "redis";
import { RedisStore } from "redis-session-store";

const client = createClient({ url: process.env.REDIS_URL ?? "redis://127.0.0.1:6379" });
client.on("error", (error) => console.error(String(error)));
await client.connect();

const events = await new RedisStore({ client }).watch();
for (const event of /** @type {const} */ ([
  "created",
  "updated",
  "touched",
  "destroyed",
  "expired",
])) {
  // A session id is a credential and belongs in no log; its handle tells sessions apart.
  events.on(event, (_sid, handle) => console.log(`${event} ${handle}`));
}
events.on("gap", () => console.log("the connection was lost and is back"));
events.on("error", (error) => console.error(error.message));
console.log("watching");
