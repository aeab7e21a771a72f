const assert = require("node:assert/strict");
const session = require("express-session");
const RedisStore = require("redis-session-store/legacy")(session);

assert.throws(() => new RedisStore({ host: "localhost" }), /package redis.* not installed/);
