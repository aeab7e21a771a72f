import { once } from "node:events";
import { get } from "node:http";
import { pathToFileURL } from "node:url";
import { sign } from "cookie-signature";
import express from "express";
import session from "express-session";
import { createClient } from "redis";

/*
 * Everything that comes from outside, at random: options, session ids, stored values, cookies.
 *
 *   npm run fuzz:input -- [--seconds 60] [--seed 1]
 *
 * Prints the seed; with it the same inputs come again.
 */

/** @typedef {import("../lib/index.js").RedisStore} Store */
/** @typedef {import("express-session").SessionData} SessionData */
/** @typedef {() => number} Random from 0 to 1 */

const SECRET = "fuzz";

/** Mulberry32. @param {number} seed @returns {Random} */
export function randomOf(seed) {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** @template T @param {Random} random @param {readonly T[]} list @returns {T} */
const pick = (random, list) => /** @type {T} */ (list[Math.floor(random() * list.length)]);

const PIECES = [
  "",
  "a",
  "sid",
  "*",
  "?",
  "[a]",
  "\\",
  "{tag}",
  "}{",
  "\r\n",
  "\0",
  " ",
  "é✓",
  "😀",
  "\ud800",
  "\uffff",
  "__proto__",
  "constructor",
  "toString",
  "'",
  '"',
  "$",
  "%",
  "/../",
  ":",
  ";",
  "=",
  "s:",
  "null",
  "0",
  "-1",
];

/** @param {Random} random */
function text(random) {
  if (random() < 0.02) return "x".repeat(Math.floor(random() * 100_000));
  let result = "";
  for (let n = Math.floor(random() * 5); n >= 0; n--) result += pick(random, PIECES);
  return result;
}

const ODD = [
  undefined,
  null,
  true,
  false,
  0,
  -0,
  1,
  -1,
  0.5,
  1e21,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  2 ** 31,
  2 ** 53,
  "",
  "1",
  "merge",
  "overwrite",
  "error",
  "bypass",
  10n,
  Symbol("s"),
  [],
  {},
  () => 1,
  () => undefined,
  new Date(0),
  new Date(Number.NaN),
  /x/,
  JSON,
  new Map(),
  Buffer.from("x"),
  Promise.resolve(1),
];

const NAMES = [
  "cookie",
  "expires",
  "originalMaxAge",
  "maxAge",
  "user",
  "id",
  "__proto__",
  "__createdAt",
  "constructor",
  "toJSON",
  "a",
];

/** A value that JSON can carry. @param {Random} random @param {number} [depth] @returns {unknown} */
function json(random, depth = 3) {
  const kind = random();
  if (depth === 0 || kind < 0.3) {
    return pick(random, [
      null,
      true,
      0,
      -1,
      1.5,
      1e308,
      text(random),
      "2020-01-01T00:00:00.000Z",
      "9999-99-99",
      Date.now() + 1e6,
    ]);
  }
  if (kind < 0.4)
    return Array.from({ length: Math.floor(random() * 4) }, () => json(random, depth - 1));
  /** @type {[string, unknown][]} */
  const entries = [];
  for (let n = Math.floor(random() * 5); n >= 0; n--) {
    entries.push([random() < 0.7 ? pick(random, NAMES) : text(random), json(random, depth - 1)]);
  }
  return entries.reduce((object, [key, value]) => {
    Object.defineProperty(object, key, {
      value,
      enumerable: true,
      configurable: true,
      writable: true,
    });
    return object;
  }, {});
}

/** What Redis may hold: a session, something like one, or bytes. @param {Random} random @returns {string | Buffer} */
function stored(random) {
  if (random() < 0.1)
    return Buffer.from(Array.from({ length: 30 }, () => Math.floor(random() * 256)));
  let value = JSON.stringify(
    random() < 0.5 ? { cookie: json(random), data: json(random) } : json(random),
  );
  if (random() < 0.3) value = value.slice(0, Math.floor(random() * value.length));
  if (random() < 0.2) value = value.replace(/[a-z]/, text(random));
  return value;
}

/**
 * @param {object} world
 * @param {typeof import("../lib/index.js").RedisStore} world.RedisStore
 * @param {import("../lib/index.js").RedisClient & { sendCommand(command: (string | Buffer)[]): Promise<unknown> }} world.client connected
 * @param {number} world.seed
 * @param {(rounds: number) => boolean} world.goesOn
 * @returns {Promise<Record<string, number>>} how often each outcome came
 */
export async function fuzzInput({ RedisStore, client, seed, goesOn }) {
  const random = randomOf(seed);
  const prefix = `fuzz:${seed}:`;
  /** @type {Record<string, number>} */
  const outcomes = {};
  const count = (/** @type {string} */ what) => {
    outcomes[what] = (outcomes[what] ?? 0) + 1;
  };
  const make = (/** @type {object} */ options) =>
    new RedisStore(
      /** @type {never} */ (/** @type {unknown} */ ({ client, prefix, timeout: 5000, ...options })),
    );
  const store = make({});
  const codeOf = (/** @type {unknown} */ error) =>
    String(/** @type {{ code?: unknown }} */ (error)?.code);

  /** Runs something that may fail, in one of the ways that are allowed. @param {string} what @param {() => unknown} work @param {string[]} codes */
  const attempt = async (what, work, codes) => {
    try {
      const result = await work();
      count(`${what}: ok`);
      return result;
    } catch (error) {
      const code = codeOf(error);
      if (!codes.includes(code) || /** @type {Error} */ (error).name !== "StoreError") {
        throw new Error(`seed ${seed}: ${what} failed with ${code}`, { cause: error });
      }
      count(`${what}: ${code}`);
      return undefined;
    }
  };
  /** @param {boolean} holds @param {string} promise */
  const must = (holds, promise) => {
    if (!holds) throw new Error(`seed ${seed}: ${promise}`);
  };

  const app = express();
  // Errors are counted here; nobody has to read them.
  app.set("env", "test");
  app.use(session({ store, secret: SECRET, resave: false, saveUninitialized: true }));
  app.get("/", (req, res) => {
    /** @type {unknown} */ (Object.assign(req.session, { visited: random() }));
    res.send("ok");
  });
  app.use(
    /** @type {import("express").ErrorRequestHandler} */
    (
      (error, _req, res, _next) => {
        // Without a code: express-session itself does not take the stored cookie.
        if (!res.headersSent) res.status(500).send(error.code ?? String(error));
      }
    ),
  );
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  /** @param {string} cookie @returns {Promise<{ status: number, body: string }>} */
  const request = (cookie) =>
    new Promise((resolve, reject) => {
      const sent = get({ host: "127.0.0.1", port, headers: { cookie } }, (res) => {
        let body = "";
        res.on("data", (chunk) => {
          body += chunk;
        });
        res.on("end", () => resolve({ status: res.statusCode ?? 0, body }));
      });
      sent.setTimeout(10_000, () => sent.destroy(new Error(`seed ${seed}: no answer`)));
      sent.on("error", reject);
    });

  const options = async () => {
    const names = [
      "client",
      "prefix",
      "ttl",
      "rolling",
      "touchAfter",
      "absoluteTtl",
      "conflict",
      "serializer",
      "disableTTL",
      "disableTouch",
      "scanCount",
      "timeout",
      "whenDown",
      "cache",
      "userId",
      "maxSessionsPerUser",
      "onLimit",
      "requireNewId",
      "name",
      "endings",
      "encryption",
      text(random),
    ];
    const given = Object.fromEntries(
      Array.from({ length: 1 + Math.floor(random() * 3) }, () => [
        pick(random, names),
        pick(random, ODD),
      ]),
    );
    const made = /** @type {Store | undefined} */ (
      await attempt("options", () => make(given), ["ERR_INVALID_OPTION"])
    );
    made?.close();
  };

  const sids = async () => {
    const sid = /** @type {string} */ (random() < 0.2 ? pick(random, ODD) : text(random));
    const data = /** @type {SessionData} */ (
      /** @type {unknown} */ ({ cookie: { originalMaxAge: null }, n: random() })
    );
    const result = await attempt("sid", () => store.set(sid, data), ["ERR_INVALID_SID"]);
    if (result === undefined) {
      const isNone = typeof sid !== "string" || sid === "" || /\p{Surrogate}/u.test(sid);
      must(isNone, "a session id was refused that is one");
      return;
    }
    must(
      JSON.stringify(await store.get(sid)) === JSON.stringify(data),
      "a session was not read as written",
    );
    must((await store.destroy(sid)) === 1, "a session was not destroyed");
  };

  const values = async () => {
    const value = stored(random);
    const key = `${prefix}value`;
    await client.sendCommand(["SET", key, value, "PX", "60000"]);
    const found = /** @type {SessionData | undefined} */ (
      await attempt("stored value", () => store.get("value"), ["ERR_CORRUPT_SESSION"])
    );
    if (found) {
      Object.assign(found, { changed: random() });
      await attempt("set of it", () => store.set("value", found), ["ERR_INVALID_SESSION"]);
      await attempt("touch of it", () => store.touch("value", found), ["ERR_INVALID_SESSION"]);
    }
    await client.sendCommand(["SET", key, value, "PX", "60000"]);
    const cookie = `connect.sid=${encodeURIComponent(`s:${sign("value", SECRET)}`)}`;
    const { status, body } = await request(cookie).catch((error) => {
      throw new Error(`with ${String(value).slice(0, 1000)}`, { cause: error });
    });
    must(
      status === 200 || (status === 500 && /^ERR_(CORRUPT|INVALID)_SESSION$/.test(body)),
      `a stored value answered ${status} ${body}: ${String(value).slice(0, 300)}`,
    );
    count(`request with it: ${status}`);
    await store.all();
    await client.sendCommand(["DEL", key]);
  };

  const cookies = async () => {
    const raw =
      random() < 0.5
        ? `s:${text(random)}.${text(random)}`.slice(0, 2000)
        : text(random).slice(0, 2000);
    const value =
      random() < 0.3
        ? raw.replace(/[^\x20-\x7e]/g, "%")
        : encodeURIComponent(raw.replace(/[\ud800-\udfff]/g, ""));
    const { status } = await request(`connect.sid=${value}`);
    must(status === 200, `a cookie answered ${status}: ${value.slice(0, 300)}`);
    count("cookie: 200");
  };

  try {
    for (let round = 0; goesOn(round); round++)
      await pick(random, [options, sids, values, cookies])();
    must(Object.keys(Object.prototype).length === 0, "a prototype was changed");
    await store.clear();
  } finally {
    server.closeAllConnections();
    server.close();
  }
  return outcomes;
}

async function main() {
  const { parseArgs } = await import("node:util");
  const { values } = parseArgs({
    options: { seconds: { type: "string" }, seed: { type: "string" } },
  });
  const { startRedis } = await import("../tools/redis-server.js");
  const built = "../dist/esm/index.js";
  /** @type {{ RedisStore: typeof import("../lib/index.js").RedisStore }} */
  const { RedisStore } = await import(built);
  const redis = await startRedis();
  const client = createClient({ url: redis.url });
  client.on("error", () => {});
  await client.connect();
  const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`seed ${seed}`);
  const until = Date.now() + Number(values.seconds ?? 60) * 1000;
  try {
    console.log(await fuzzInput({ RedisStore, client, seed, goesOn: () => Date.now() < until }));
  } finally {
    client.destroy();
    await redis.stop();
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  main().catch((error) => {
    console.error(error);
    process.exitCode = 1;
  });
}
