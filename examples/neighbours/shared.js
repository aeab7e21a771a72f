import { createClient } from "redis";
import { RedisStore } from "redis-session-store";

const client = createClient({ url: process.env.REDIS_URL ?? "redis://127.0.0.1:6379" });
client.on("error", (error) => console.error(String(error)));
await client.connect();

const secret = process.env.SESSION_SECRET ?? "";
if (secret.length < 32) {
  throw new Error("set SESSION_SECRET, for example to what `openssl rand -hex 32` prints");
}

/** The options of express-session, the same in every example. */
export const options = {
  store: new RedisStore({ client }),
  secret,
  resave: false,
  saveUninitialized: false,
  // "auto": Secure where the browser comes by https; behind a proxy, see proxy.js.
  cookie: {
    secure: /** @type {const} */ ("auto"),
    sameSite: /** @type {const} */ ("lax"),
    maxAge: 30 * 60 * 1000,
  },
};

/**
 * Starts an app or server on `PORT` and says where it listens.
 *
 * @param {{ listen(port: number, host: string, listening: () => void): import("node:http").Server }} app
 */
export function listen(app) {
  const server = app.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () => {
    const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
    console.log(`listening on http://127.0.0.1:${port}`);
  });
}

/**
 * What these apps keep in a session.
 *
 * @typedef {{ user?: string, visits?: number, messages?: number }} Content
 * @param {object} session
 * @returns {Content}
 */
export const content = (session) => session;

/**
 * Counts a visit. Two requests at the same time count as one: what has to be exact belongs in Redis
 * (INCR) or in a database.
 *
 * @param {object} session
 */
export function visit(session) {
  const own = content(session);
  own.visits = (own.visits ?? 0) + 1;
  return `Visits: ${own.visits}\n`;
}
