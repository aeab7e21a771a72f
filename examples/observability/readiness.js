// A readiness probe: red while Redis does not answer the store, also without traffic, and green again.
import express from "express";
import session from "express-session";
import { createClient } from "redis";
import { RedisStore } from "redis-session-store";
import { secret } from "../secret.js";
import { listen } from "../users/listen.js";

const client = createClient({ url: process.env.REDIS_URL ?? "redis://127.0.0.1:6379" });
client.on("error", (error) => console.error(String(error)));
// Not awaited: the app starts, and is not ready, while Redis is still away.
client.connect().catch(() => {});
// A probe that takes longer than the orchestrator waits says nothing.
const store = new RedisStore({ client, timeout: 500 });

const app = express();
// Before the sessions: a probe has none, and must be answered while they cannot be read.
app.get("/live", (_req, res) => res.send("alive\n"));
app.get("/ready", async (_req, res) => {
  try {
    const ms = await store.ping();
    res.send(`ready, Redis took ${ms.toFixed(1)} ms\n`);
  } catch (error) {
    const { code } = /** @type {import("redis-session-store").StoreError} */ (error);
    res.status(503).send(`not ready: ${code}\n`);
  }
});
app.use(session({ store, secret, resave: false, saveUninitialized: false }));
app.get("/", (req, res) => res.send(`${req.sessionID.length} characters\n`));
listen(app);
