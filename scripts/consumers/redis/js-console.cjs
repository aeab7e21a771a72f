const assert = require("node:assert/strict");
const { createClient } = require("redis");
const { RedisStore } = require("redis-session-store");
const { sessionConsole } = require("redis-session-store/console");

const store = new RedisStore({ client: createClient() });
assert.equal(typeof sessionConsole({ store, authorize: () => null }), "function");
assert.throws(() => sessionConsole({ store }), { code: "ERR_INVALID_OPTION" });
store.close();
