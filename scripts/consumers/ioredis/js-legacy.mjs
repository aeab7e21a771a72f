import assert from "node:assert/strict";
import session from "express-session";
import legacy from "redis-session-store/legacy";

const RedisStore = legacy(session);
assert.throws(() => new RedisStore({ host: "localhost" }), /package redis.* not installed/);
