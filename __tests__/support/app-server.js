// A server process with sessions: node app-server.js <module of the library> <address of Redis> <prefix>
// Prints its port. Its parent ends it.

import { once } from "node:events";
import express from "express";
import session from "express-session";
import { createClient } from "redis";

const [, , library = "", url = "", prefix = ""] = process.argv;
const { RedisStore } = /** @type {typeof import("../../lib/index.js")} */ (await import(library));

const client = createClient({ url });
client.on("error", () => {});
await client.connect();
const store = new RedisStore({ client, prefix });

const app = express();
app.use(session({ secret: "test", resave: false, saveUninitialized: false, store }));

/** Those that wait at the barrier until all are there. @type {(() => void)[]} */
let waiting = [];

app.get("/login", (req, res) => {
  Object.assign(req.session, { user: "ann" });
  res.send("in");
});

// Adds one key, when as many requests as asked for have loaded the session.
app.get("/add", async (req, res) => {
  const { key, together } = /** @type {Record<string, string>} */ (req.query);
  // Who waits has a session of somebody: what it does to it comes when all have loaded theirs.
  await new Promise((resolve) => {
    waiting.push(() => resolve(undefined));
    if (waiting.length >= Number(together)) {
      for (const goOn of waiting) goOn();
      waiting = [];
    }
  });
  Object.assign(req.session, { [key ?? ""]: process.pid });
  if ("save" in req.query) {
    const save = /** @type {(done: (error: unknown, result?: unknown) => void) => void} */ (
      req.session.save.bind(req.session)
    );
    save((error, result) => res.status(error ? 500 : 200).send(String(error ?? result)));
  } else {
    res.send("added");
  }
});

app.get("/waiting", (_req, res) => {
  res.send(String(waiting.length));
});

app.get("/logout", (req, res) => {
  req.session.destroy(() => res.send("out"));
});

const server = app.listen(0, "127.0.0.1");
await once(server, "listening");
const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
process.stdout.write(`${port}\n`);
process.once("disconnect", () => process.exit());
