import assert from "node:assert/strict";
import session from "express-session";
import { createClient } from "redis";
import RedisStore, {
  RedisStore as Named,
  type RedisStoreOptions,
  StoreError,
} from "redis-session-store";

const options: RedisStoreOptions = { client: createClient(), ttl: 60 };
const store: Named = new RedisStore(options);
assert.equal(RedisStore, Named);
session({ store, secret: "secret", resave: false, saveUninitialized: false });

assert.throws(
  // @ts-expect-error the client is required
  () => new RedisStore({ ttl: 60 }),
  (error) => error instanceof StoreError && error.code === "ERR_INVALID_OPTION",
);

/** Compiled and never called: what a method gives has a type of its own, and `any` would pass here. */
export async function results(): Promise<void> {
  const found = await store.get("sid");
  // @ts-expect-error a session or nothing, no number
  const wrong: number = found;
  assert(wrong);
}
