import { Session as Inspector } from "node:inspector/promises";
import express from "express";
import session from "express-session";
import { CONTENDERS, connect } from "./contenders.js";
import { serve } from "./processes.js";
import { content, DAY_MS, FLOOR } from "./sessions.js";

/** An Express app in a process of its own: `none`, `MemoryStore`, `FLOOR`, or a contender. */

/** @typedef {{ do: "port" | "usage" | "profile" }} Request */

const [name, url] = /** @type {[string, string]} */ (process.argv.slice(2));

/** The least that a store can do which gives each request a session of its own. */
class MapStore extends session.Store {
  /** @type {Map<string, string>} */
  #texts = new Map();

  /** @override @type {session.Store["get"]} */
  get(sid, callback) {
    const text = this.#texts.get(sid);
    // The answers of one turn of the event loop come together, as those of our cache.
    setImmediate(callback, null, text && JSON.parse(text));
  }

  /** @override @type {session.Store["set"]} */
  set(sid, data, callback) {
    this.#texts.set(sid, JSON.stringify(data));
    callback?.();
  }

  /** @override @param {string} _sid @param {session.SessionData} _data @param {() => void} [callback] */
  touch(_sid, _data, callback) {
    callback?.();
  }

  /** @override @type {session.Store["destroy"]} */
  destroy(sid, callback) {
    this.#texts.delete(sid);
    callback?.();
  }
}

async function storeOf() {
  if (name === "MemoryStore") return new session.MemoryStore();
  if (name === FLOOR) return new MapStore();
  const made = CONTENDERS[/** @type {import("./contenders.js").Name} */ (name)];
  return made(await connect(url)).store;
}

const app = express();
app.disable("x-powered-by");
app.disable("etag");
if (name !== "none") {
  app.use(
    session({
      store: /** @type {session.Store} */ (await storeOf()),
      secret: "bench",
      resave: false,
      saveUninitialized: false,
      cookie: { maxAge: DAY_MS },
    }),
  );
}
app.get("/login", (req, res) => {
  if (req.session) Object.assign(req.session, content());
  res.send("in");
});
app.get("/read", (req, res) => {
  const views = /** @type {{ views?: number } | undefined} */ (req.session)?.views;
  res.send(`views: ${views ?? 0}`);
});
app.get("/write", (req, res) => {
  const own = /** @type {{ views: number } | undefined} */ (/** @type {unknown} */ (req.session));
  if (own) own.views++;
  res.send("written");
});
const server = app.listen(0, "127.0.0.1");
await new Promise((resolve) => server.once("listening", resolve));

/** @type {Inspector | undefined} */
let inspector;

serve(async (/** @type {Request} */ request) => {
  if (request.do === "port")
    return /** @type {import("node:net").AddressInfo} */ (server.address()).port;
  if (request.do === "usage") return process.cpuUsage();
  if (inspector === undefined) {
    inspector = new Inspector();
    inspector.connect();
    await inspector.post("Profiler.enable");
    await inspector.post("Profiler.start");
    return 0;
  }
  const { profile } = await inspector.post("Profiler.stop");
  return shareOfHashing(profile);
});

/**
 * Which share of its busy time the process spent in the function `hash` of express-session and in
 * what that calls.
 *
 * @param {import("node:inspector").Profiler.Profile} profile
 */
function shareOfHashing({ nodes, samples = [], timeDeltas = [] }) {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const hashing = new Set();
  const idle = new Set();
  for (const { id, callFrame } of nodes) {
    if (callFrame.functionName === "(idle)") idle.add(id);
    if (callFrame.functionName !== "hash" || !callFrame.url.includes("express-session")) continue;
    for (const below = [id]; below.length > 0; ) {
      const one = /** @type {number} */ (below.pop());
      hashing.add(one);
      below.push(...(byId.get(one)?.children ?? []));
    }
  }
  let busy = 0;
  let spent = 0;
  for (const [index, id] of samples.entries()) {
    if (idle.has(id)) continue;
    busy += timeDeltas[index] ?? 0;
    if (hashing.has(id)) spent += timeDeltas[index] ?? 0;
  }
  return spent / busy;
}
