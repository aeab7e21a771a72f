import express from "express";
import session from "express-session";
import { connect } from "./contenders.js";
import { serve } from "./processes.js";
import { DAY_MS } from "./sessions.js";

/** An app with the console mounted, in a process of its own; answers its port. */

const [url = "", prefix = ""] = process.argv.slice(2);
const built = (/** @type {string} */ file) => import(`../dist/esm/${file}`);
/** @type {typeof import("../lib/index.js")} */
const { RedisStore } = await built("index.js");
/** @type {typeof import("../lib/console/index.js")} */
const { sessionConsole } = await built("console/index.js");

const store = new RedisStore({ client: await connect(url), prefix });
const app = express().disable("x-powered-by").disable("etag");
app.use("/console", sessionConsole({ store, authorize: () => ({ role: "read" }) }));
/** What any request of so many bytes costs. */
app.get("/plain/:bytes", (req, res) => {
  res.type("html").end("x".repeat(Number(req.params.bytes)));
});
app.use(
  session({
    store,
    secret: "bench",
    resave: false,
    saveUninitialized: false,
    cookie: { maxAge: DAY_MS },
  }),
);
app.get("/login", (req, res) => {
  Object.assign(req.session, { views: 1 });
  res.send("in");
});
app.get("/read", (req, res) => {
  const { views } = /** @type {{ views?: number }} */ (/** @type {unknown} */ (req.session));
  res.send(`views: ${views}`);
});
const server = app.listen(0, "127.0.0.1");
// A client that waits for its turn keeps its connection.
server.keepAliveTimeout = 60_000;
await new Promise((resolve) => server.once("listening", resolve));

/** @typedef {{ do: "port" } | { do: "cursors", count: number, apart: number }} Request */

/** Cursors of the list, about so many sessions apart. @param {Request & { do: "cursors" }} request */
async function cursors({ count, apart }) {
  const limit = Math.min(apart, 1000);
  /** @type {string[]} */
  const found = [];
  /** @type {string | null} */
  let cursor = null;
  for (let step = 1; found.length < count; step++) {
    ({ cursor } = await store.page({ cursor, limit }));
    if (cursor !== null && step % Math.round(apart / limit) === 0) found.push(cursor);
  }
  return found;
}

serve((/** @type {Request} */ request) =>
  request.do === "cursors"
    ? cursors(request)
    : /** @type {import("node:net").AddressInfo} */ (server.address()).port,
);
