const assert = require("node:assert/strict");
const session = require("express-session");
const { createClient } = require("redis");
const { default: RedisStore, RedisStore: Named, StoreError } = require("redis-session-store");

assert.equal(RedisStore, Named);
const store = new RedisStore({ client: createClient(), ttl: 60 });
assert(store instanceof session.Store);
assert.equal(store.ttl, 60);
session({ store, secret: "secret", resave: false, saveUninitialized: false });

assert.throws(
  () => new RedisStore({}),
  (error) => error instanceof StoreError && error.code === "ERR_INVALID_OPTION",
);
