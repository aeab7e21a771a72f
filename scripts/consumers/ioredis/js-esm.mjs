import assert from "node:assert/strict";
import session from "express-session";
import { Redis } from "ioredis";
import RedisStore, { RedisStore as Named, StoreError } from "redis-session-store";

assert.equal(RedisStore, Named);
const store = new RedisStore({ client: new Redis({ lazyConnect: true }), ttl: 60 });
assert(store instanceof session.Store);
session({ store, secret: "secret", resave: false, saveUninitialized: false });

assert.throws(
  () => new RedisStore({ client: new Map() }),
  (error) => error instanceof StoreError && error.code === "ERR_INVALID_OPTION",
);
