import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { RedisStore as ConnectRedisStore } from "connect-redis";
import express from "express";
import session from "express-session";
import { createClient } from "redis";
import { RedisStore } from "redis-session-store";
import { whyMissing } from "redis-session-store/bearer";
import { sessionConsole } from "redis-session-store/console";

// One app server, in a process of its own. It knows nothing of the others.

const { SERVER_NAME: name = "", REDIS_URL: url = "", SESSION_SECRET: secret = "" } = process.env;
/** How long a session lives without a request, in seconds. */
const ttl = Number(process.env.DEMO_TTL ?? 60);
const { CONSOLE_KEY: key = "" } = process.env;
process.on("disconnect", () => process.exit());

const client = createClient({ url }).on("error", () => {});
await client.connect();

/** @param {session.Store} store @param {string} cookieName */
const sessions = (store, cookieName) =>
  session({
    store,
    secret,
    name: cookieName,
    resave: false,
    saveUninitialized: false,
    // The browser keeps it for longer than the session lives, so that it can be told what became of that.
    cookie: { sameSite: "strict" },
  });

/**
 * What this app keeps in a session. The basket is an object and no array, so that items put in
 * by two requests at once are different keys.
 *
 * @typedef {{ counter?: number, basket?: Record<string, string>, user?: string, slow?: string, fast?: string }} Content
 * @param {express.Request} req
 */
const content = (req) => /** @type {Content} */ (/** @type {unknown} */ (req.session));

/** Two changes at once, on whichever store the sessions of the request have. */
const pair = express.Router();
pair.get("/", (req, res) => {
  const { slow, fast } = content(req);
  res.json({ slow, fast });
});
pair.post("/", (req, res) => {
  Object.assign(content(req), { slow: "", fast: "" });
  res.json({});
});
/** @type {["slow" | "fast", number][]} */
const changes = [
  ["slow", 600],
  ["fast", 200],
];
for (const [key, ms] of changes) {
  pair.post(`/${key}`, async (req, res) => {
    await delay(ms);
    content(req)[key] = name;
    res.json({});
  });
}

const app = express().disable("x-powered-by").use(express.json());
const other = new ConnectRedisStore({ client, prefix: "connect-redis:", ttl: Math.ceil(ttl) });
app.use("/connect-redis/pair", sessions(other, "connect-redis.sid"), pair);

// Every request renews the session exactly, so that the countdown starts at 60 and not at 61.
const cookieName = "demo.sid";
const store = new RedisStore({
  client,
  ttl,
  touchAfter: 0,
  absoluteTtl: 86_400,
  userId: (session) => userOf(session),
  maxSessionsPerUser: 2,
  endings: { keepFor: 3600 },
});

/** @param {session.SessionData} session @returns {string | undefined} */
function userOf(session) {
  return /** @type {Content} */ (/** @type {unknown} */ (session)).user || undefined;
}

// Whoever sees the demo's page may do everything: it is served to this machine alone.
app.use(
  "/console",
  sessionConsole({
    store,
    key,
    userId: userOf,
    authorize: () => ({ role: "write", actor: "You" }),
    reveal: ([first]) => first === "counter" || first === "basket",
  }),
);

// Sessions to look at, of nobody's browser.
if (name === "1") {
  for (let i = 0; i < 40; i++) {
    const maxAge = (1 + ((i * 7) % 40)) * 120_000;
    const cookie = { originalMaxAge: maxAge, expires: new Date(Date.now() + maxAge) };
    const basket = Object.fromEntries(Array.from({ length: i % 12 }, (_, n) => [n, "Tea"]));
    const user = i < 30 ? { user: `Visitor ${1 + Math.floor(i / 2)}` } : {};
    const made = { cookie, counter: i, basket, ...user };
    await store.set(`made-for-the-console-${i}`, made);
  }
}

app.use(sessions(store, cookieName));
// A browser that comes with a cookie and gets a new session is told why.
app.use(async (req, res, next) => {
  const isNew = Object.keys(req.session).every((key) => key === "cookie");
  if (isNew) res.locals.ended = await whyMissing(req, { store, secret, name: cookieName });
  next();
});
app.use("/pair", pair);

/**
 * Saves first: the answer tells what Redis holds by then.
 *
 * @param {express.Request} req
 * @param {express.Response} res
 */
async function answer(req, res) {
  await promisify(req.session.save.bind(req.session))();
  const { counter = 0, basket = {}, user } = content(req);
  res.json({
    server: name,
    pid: process.pid,
    sid: `${req.sessionID.slice(0, 6)}…`,
    expiresIn: await client.pTTL(store.prefix + req.sessionID),
    counter,
    basket,
    user,
    ended: res.locals.ended ?? undefined,
  });
}

/** @param {unknown} value @param {number} length */
const text = (value, length) => (typeof value === "string" ? value.trim().slice(0, length) : "");

app.get("/session", (req, res) => {
  // express-session sends no cookie for a session that has nothing in it.
  content(req).counter ??= 0;
  return answer(req, res);
});

app.post("/count", (req, res) => {
  const mine = content(req);
  mine.counter = (mine.counter ?? 0) + 1;
  return answer(req, res);
});

app.post("/basket", (req, res) => {
  const mine = content(req);
  const item = text(req.body?.item, 40);
  mine.basket ??= {};
  if (item && Object.keys(mine.basket).length < 20) mine.basket[randomUUID()] = item;
  return answer(req, res);
});

app.delete("/basket/:id", (req, res) => {
  delete content(req).basket?.[req.params.id];
  return answer(req, res);
});

app.post("/login", async (req, res) => {
  const { counter, basket } = content(req);
  // A new id, so that one planted before the login is worth nothing after it.
  await promisify(req.session.regenerate.bind(req.session))();
  // Without a name nobody is logged in.
  const user = text(req.body?.user, 30) || undefined;
  Object.assign(content(req), { counter, basket, user });
  return answer(req, res);
});

app.post("/logout", async (req, res) => {
  await promisify(req.session.regenerate.bind(req.session))();
  return answer(req, res);
});

app.post("/logout-others", async (req, res) => {
  const { user } = content(req);
  const because = "logged out on another device";
  if (user !== undefined) await store.destroyAllOf(user, { except: req.sessionID, because });
  return answer(req, res);
});

const server = app.listen(0, "127.0.0.1", () => {
  process.send?.(/** @type {import("node:net").AddressInfo} */ (server.address()).port);
});
