import assert from "node:assert/strict";
import session from "express-session";
import { createClient } from "redis";
import RedisStore, { RedisStore as Named, StoreError } from "redis-session-store";

assert.equal(RedisStore, Named);
const store = new RedisStore({ client: createClient(), ttl: 60 });
assert(store instanceof session.Store);
assert.equal(store.ttl, 60);
session({ store, secret: "secret", resave: false, saveUninitialized: false });

assert.throws(
  () => new RedisStore({}),
  (error) => error instanceof StoreError && error.code === "ERR_INVALID_OPTION",
);
