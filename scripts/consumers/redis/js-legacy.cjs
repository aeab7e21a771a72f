const assert = require("node:assert/strict");
const session = require("express-session");
const { createClient } = require("redis");
const RedisStore = require("redis-session-store/legacy")(session);

const client = createClient();
const store = new RedisStore({ client, host: "localhost", port: 6379, ttl: "60" });
assert(store instanceof session.Store);
assert.equal(store.client, client);
session({ store, secret: "secret", resave: false, saveUninitialized: false });

// Nobody listens there: the package redis was found, and its client tries to connect.
const own = new RedisStore({ host: "127.0.0.1", port: 1 });
own.once("disconnect", (error) => {
  assert.equal(error.code, "ECONNREFUSED");
  void own.close();
});
