import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import session from "express-session";
import { createClient } from "redis";
import { RedisStore } from "redis-session-store";
import { bearerToken, readSession, type TokenOptions } from "redis-session-store/bearer";

const options: TokenOptions = { secret: ["new", "old"] };
const store = new RedisStore({
  client: createClient(),
  userId: (stored) => (stored.cookie.path === "/" ? "ada" : undefined),
  maxSessionsPerUser: 5,
  onLimit: "reject",
});
const middleware: (req: IncomingMessage, res: never, next: () => void) => void =
  bearerToken(options);
assert.equal(typeof middleware, "function");
assert.throws(() => bearerToken({ secret: "" }), { code: "ERR_INVALID_OPTION" });
void readSession({ headers: {} } as IncomingMessage, { ...options, store }).then((found) =>
  assert.equal(found, null),
);
session({ store, secret: ["new", "old"], resave: false, saveUninitialized: false });

/** Compiled and never called. */
export async function results(req: Express.Request): Promise<void> {
  const token: string | undefined = req.sessionToken;
  const [first] = await store.sessionsOf("ada");
  const expires: Date | null | undefined = first?.expires;
  const events = await store.watch();
  events.on("destroyed", (sid) => assert(sid.length > 0));
  // @ts-expect-error there is no such event
  events.on("gone", () => {});
  assert(token && expires);
}
