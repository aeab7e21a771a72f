const assert = require("node:assert/strict");
const { createClient } = require("redis");
const { RedisStore } = require("redis-session-store");
const { bearerToken, readSession } = require("redis-session-store/bearer");

assert.equal(typeof bearerToken({ secret: "secret" }), "function");
const store = new RedisStore({ client: createClient() });
void readSession({ headers: {} }, { secret: "secret", store }).then((found) => {
  assert.equal(found, null);
});
