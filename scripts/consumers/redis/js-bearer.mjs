import assert from "node:assert/strict";
import { createClient } from "redis";
import { RedisStore } from "redis-session-store";
import { bearerToken, readSession } from "redis-session-store/bearer";

assert.equal(typeof bearerToken({ secret: "secret" }), "function");
const store = new RedisStore({ client: createClient() });
assert.equal(await readSession({ headers: {} }, { secret: "secret", store }), null);
