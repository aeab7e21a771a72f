const assert = require("node:assert/strict");
const { createClient } = require("redis");
const { RedisStore } = require("redis-session-store");
const { collectMetrics } = require("redis-session-store/metrics");

const metrics = collectMetrics();
const store = new RedisStore({ client: createClient(), name: "orders" });
assert.equal(store.prefix, "sess:");
assert(metrics.prometheus().includes('redis_session_store_up{store="orders"} 1\n'));
metrics.close();
