// Prints what the store tells of its work, while an app counts the visits of a browser.
import { subscribe } from "node:diagnostics_channel";
import { createClient } from "redis";
import { RedisStore } from "redis-session-store";
import { serve } from "../app.js";

for (const operation of ["get", "set", "touch", "destroy"]) {
  for (const phase of ["end", "asyncEnd"]) {
    subscribe(`tracing:redis-session-store:${operation}:${phase}`, (message) => {
      const told = /** @type {import("redis-session-store").OperationMessage} */ (message);
      // One that waits for Redis is not over at its end.
      if (told.outcome !== undefined) console.log(JSON.stringify(told));
    });
  }
}
subscribe("redis-session-store:event", (message) => console.log(JSON.stringify(message)));

const client = createClient({ url: process.env.REDIS_URL ?? "redis://127.0.0.1:6379" });
client.on("error", (error) => console.error(String(error)));
await client.connect();
serve(new RedisStore({ client, name: "visits" }));
