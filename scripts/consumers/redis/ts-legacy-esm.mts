import assert from "node:assert/strict";
import session from "express-session";
import { createClient } from "redis";
import legacy, { type LegacyOptions, type LegacyStore } from "redis-session-store/legacy";
import { createClient as createClient4 } from "redis4";

const RedisStore = legacy(session);
const options: LegacyOptions = {
  client: createClient(),
  ttl: (store, { cookie }, sid) => (store.prefix && sid ? (cookie.originalMaxAge ?? 60) : "60"),
  logErrors: (error) => console.error(error.message),
};
const store: LegacyStore = new RedisStore(options);
session({ store, secret: "secret", resave: false, saveUninitialized: false });
new RedisStore({ client: createClient4({ legacyMode: true }) });
assert.equal(store.client, options.client);

// @ts-expect-error no number of seconds
assert.throws(() => new RedisStore({ client: createClient(), ttl: {} }), {
  code: "ERR_INVALID_OPTION",
});

/** Compiled and never called. */
export async function results(): Promise<void> {
  const found = await store.get("sid");
  // @ts-expect-error a session or nothing, no number
  const wrong: number = found;
  assert(wrong);
}
