import { createClient } from "redis";
import { RedisStore } from "redis-session-store";

const client = createClient({ url: process.env.REDIS_URL ?? "redis://127.0.0.1:6379" });
client.on("error", (error) => console.error(String(error)));
await client.connect();

/** The options of express-session, the same in every example. */
export const options = {
  store: new RedisStore({ client }),
  secret: process.env.SESSION_SECRET ?? "keyboard cat",
  resave: false,
  saveUninitialized: false,
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
 * Counts a visit.
 *
 * @param {object} session
 */
export function visit(session) {
  const own = content(session);
  own.visits = (own.visits ?? 0) + 1;
  return `Visits: ${own.visits}\n`;
}
