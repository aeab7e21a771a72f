const assert = require("node:assert/strict");
const { Redis } = require("ioredis");
const { default: RedisStore, RedisStore: Named, StoreError } = require("redis-session-store");

assert.equal(RedisStore, Named);
const client = new Redis({ lazyConnect: true });
assert.throws(
  () => new RedisStore({ client }),
  (error) => error instanceof StoreError && error.code === "ERR_INVALID_OPTION",
);
