import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { Agent, get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import express from "express";
import session from "express-session";
import { createClient } from "redis";
import { startRedis } from "../tools/redis-server.js";
import { randomOf } from "./fuzz-input.js";

/*
 * Users change their sessions, log out and log in again, while the server is killed, frozen, filled
 * and cut off at random. In the end every acknowledged change must be there, every session that was
 * destroyed must be gone, and the memory of the process must not have grown.
 *
 *   npm run soak -- [--seconds 600] [--seed 1] [--cache]
 *
 * The seed decides which faults come, and for how long.
 */

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "600" },
    seed: { type: "string" },
    cache: { type: "boolean", default: false },
  },
});
const seconds = Number(values.seconds);
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const TIMEOUT = 500;
/** What a request may take: it reads and writes, each within the timeout, on a machine that is busy. */
const BOUND = 2 * TIMEOUT + 3000;
const USERS = 10;
/** Changes until a user logs out. */
const CHANGES = 40;
/** How much the heap may grow between the first third of the time and the end, in MB. */
const GROWTH = 16;

const built = "../dist/esm/index.js";
/** @type {{ RedisStore: typeof import("../lib/index.js").RedisStore }} */
const { RedisStore } = await import(built);
setFlagsFromString("--expose-gc");
const gc = /** @type {() => void} */ (runInNewContext("gc"));
const random = randomOf(seed);
const dir = await mkdtemp(join(tmpdir(), "redis-session-store-soak-"));
const args = ["--appendonly", "yes", "--appendfsync", "always"];
let redis = await startRedis({ dir, args });
const { port: redisPort, url } = redis;
const connect = async () => {
  const client = createClient({ url });
  client.on("error", () => {});
  await client.connect();
  return client;
};
const client = await connect();
const admin = await connect();
const store = new RedisStore({
  client,
  timeout: TIMEOUT,
  cache: values.cache ? { max: 1000 } : false,
});

/** @type {Record<string, number>} */
const outcomes = {};
const count = (/** @type {string} */ what) => {
  outcomes[what] = (outcomes[what] ?? 0) + 1;
};
/** @type {string[]} */
const broken = [];
process.on("warning", (warning) => broken.push(String(warning)));

const app = express();
app.set("env", "test");
app.use(session({ store, secret: "soak", resave: false, saveUninitialized: false }));
app.get("/change/:name", (req, res, next) => {
  Object.assign(req.session, { [req.params.name]: 1 });
  req.session.save((error) => (error ? next(error) : res.send(req.sessionID)));
});
app.get("/logout", (req, res, next) => {
  const sid = req.sessionID;
  req.session.destroy((error) => (error ? next(error) : res.send(sid)));
});
app.use(
  /** @type {import("express").ErrorRequestHandler} */
  (
    (error, _req, res, _next) => {
      if (!res.headersSent) res.status(500).send(String(error.code));
    }
  ),
);
const server = app.listen(0, "127.0.0.1");
await once(server, "listening");
const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
const agent = new Agent({ keepAlive: true });

let slowest = 0;
/**
 * @param {string} path
 * @param {string} cookie
 * @returns {Promise<{ status: number, body: string, cookie: string }>}
 */
const ask = (path, cookie) =>
  new Promise((resolve, reject) => {
    const began = performance.now();
    const sent = get({ agent, host: "127.0.0.1", port, path, headers: { cookie } }, (res) => {
      let body = "";
      res.on("data", (chunk) => {
        body += chunk;
      });
      res.on("end", () => {
        slowest = Math.max(slowest, Math.round(performance.now() - began));
        const [fresh] = res.headers["set-cookie"] ?? [];
        resolve({ status: res.statusCode ?? 0, body, cookie: fresh?.split(";")[0] ?? cookie });
      });
    });
    sent.on("error", reject);
  });

let isOver = false;
/** Sessions that were destroyed, and acknowledged as that. @type {Set<string>} */
const gone = new Set();
const users = Array.from({ length: USERS }, () => ({
  cookie: "",
  sid: "",
  acknowledged: /** @type {Set<string>} */ (new Set()),
}));
let serial = 0;

/** @param {(typeof users)[number]} user */
async function change(user) {
  const name = `w${serial++}`;
  const { status, body, cookie } = await ask(`/change/${name}`, user.cookie);
  count(status === 200 ? "changed" : body);
  if (status !== 200) return;
  if (user.sid !== "" && body !== user.sid) broken.push(`${user.sid} was logged out`);
  Object.assign(user, { sid: body, cookie });
  user.acknowledged.add(name);
}

/** @param {(typeof users)[number]} user */
async function logOut(user) {
  const { status, body } = await ask("/logout", user.cookie);
  count(status === 200 ? "logged out" : body);
  if (status !== 200) {
    // It may have happened: then the next attempt finds nothing, which is as well.
    return;
  }
  gone.add(user.sid);
  Object.assign(user, { cookie: "", sid: "", acknowledged: new Set() });
}

const loops = users.map(async (user) => {
  while (!isOver) {
    if (user.acknowledged.size < CHANGES) await change(user);
    else await logOut(user);
    await delay(10);
  }
});

const answered = async () => {
  const before = outcomes.changed ?? 0;
  const until = performance.now() + 20_000;
  while ((outcomes.changed ?? 0) < before + USERS) {
    if (performance.now() > until) throw new Error(`seed ${seed}: nothing is answered any more`);
    await delay(20);
  }
};
/** From 0.1 to 2 s. */
const aWhile = () => delay(100 + random() * 1900);
/** @type {Record<string, () => Promise<void>>} */
const faults = {
  "kill -9": async () => {
    redis.kill("SIGKILL");
    await redis.stop();
    await aWhile();
    redis = await startRedis({ dir, args, port: redisPort });
  },
  SIGSTOP: async () => {
    redis.kill("SIGSTOP");
    await aWhile();
    redis.kill("SIGCONT");
  },
  "CLIENT KILL": async () => {
    await admin.sendCommand(["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
  },
  "SCRIPT FLUSH": async () => {
    await admin.sendCommand(["SCRIPT", "FLUSH"]);
  },
  maxmemory: async () => {
    await admin.sendCommand(["CONFIG", "SET", "maxmemory", "1"]);
    await aWhile();
    await admin.sendCommand(["CONFIG", "SET", "maxmemory", "0"]);
  },
};

const heap = () => {
  gc();
  return process.memoryUsage().heapUsed / 2 ** 20;
};
console.log(`seed ${seed}, ${seconds} s`);
const end = performance.now() + seconds * 1000;
const third = performance.now() + (seconds * 1000) / 3;
let early = 0;
try {
  while (performance.now() < end) {
    await delay(500 + random() * 2000);
    const names = Object.keys(faults);
    const name = /** @type {string} */ (names[Math.floor(random() * names.length)]);
    await faults[name]?.();
    count(`fault ${name}`);
    await answered();
    if (early === 0 && performance.now() > third) early = heap();
  }
  isOver = true;
  await Promise.all(loops);
  const late = heap();
  for (const { sid, acknowledged } of users) {
    if (sid === "") continue;
    const held = await store.get(sid);
    const lost = [...acknowledged].filter((name) => held === null || !(name in held));
    if (lost.length > 0) broken.push(`${sid} has lost ${lost.join(", ")}`);
  }
  for (const sid of gone) {
    if ((await store.get(sid)) !== null) broken.push(`${sid} is back`);
  }
  if (slowest > BOUND) broken.push(`a request took ${slowest} ms`);
  if (early > 0 && late - early > GROWTH) broken.push(`the heap grew from ${early} to ${late} MB`);
  console.log({ outcomes, slowest, destroyed: gone.size, heap: [early, late] });
} catch (error) {
  broken.push(String(error));
} finally {
  isOver = true;
  await Promise.all(loops);
  agent.destroy();
  server.close();
  store.close();
  client.destroy();
  admin.destroy();
  await redis.stop();
  await rm(dir, { recursive: true, force: true });
}
if (broken.length > 0) {
  console.error(broken.join("\n"));
  process.exitCode = 1;
}
