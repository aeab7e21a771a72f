import assert from "node:assert/strict";
import { Redis } from "ioredis";
import RedisStore, { RedisStore as Named, StoreError } from "redis-session-store";

assert.equal(RedisStore, Named);
const client = new Redis({ lazyConnect: true });
assert.throws(
  () => new RedisStore({ client }),
  (error) => error instanceof StoreError && error.code === "ERR_INVALID_OPTION",
);
