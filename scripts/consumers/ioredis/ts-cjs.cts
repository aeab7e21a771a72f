import assert from "node:assert/strict";
import { Redis } from "ioredis";
import RedisStore, {
  RedisStore as Named,
  type RedisStoreOptions,
  StoreError,
} from "redis-session-store";

assert.equal(RedisStore, Named);
// The types name no ioredis client, and must compile where it is the only one.
const client = new Redis({ lazyConnect: true }) as unknown as RedisStoreOptions["client"];
assert.throws(
  () => new RedisStore({ client }),
  (error) => error instanceof StoreError && error.code === "ERR_INVALID_OPTION",
);
