const assert = require("node:assert/strict");
const session = require("express-session");
const { Redis } = require("ioredis");
const { default: RedisStore, RedisStore: Named, StoreError } = require("redis-session-store");

assert.equal(RedisStore, Named);
const store = new RedisStore({ client: new Redis({ lazyConnect: true }), ttl: 60 });
assert(store instanceof session.Store);
session({ store, secret: "secret", resave: false, saveUninitialized: false });

assert.throws(
  () => new RedisStore({ client: new Map() }),
  (error) => error instanceof StoreError && error.code === "ERR_INVALID_OPTION",
);
