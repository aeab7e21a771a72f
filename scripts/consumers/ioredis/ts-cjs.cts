import assert from "node:assert/strict";
import session from "express-session";
import { Redis } from "ioredis";
import RedisStore, {
  RedisStore as Named,
  type RedisStoreOptions,
  StoreError,
} from "redis-session-store";

const options: RedisStoreOptions = { client: new Redis({ lazyConnect: true }), ttl: 60 };
const store: Named = new RedisStore(options);
assert.equal(RedisStore, Named);
session({ store, secret: "secret", resave: false, saveUninitialized: false });

assert.throws(
  // @ts-expect-error no client of any family
  () => new RedisStore({ client: new Map() }),
  (error) => error instanceof StoreError && error.code === "ERR_INVALID_OPTION",
);
