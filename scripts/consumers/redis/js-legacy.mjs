import assert from "node:assert/strict";
import session from "express-session";
import legacy from "redis-session-store/legacy";

const RedisStore = legacy(session);
const store = new RedisStore({ host: "127.0.0.1", port: 1, ttl: 60 });
assert(store instanceof session.Store);
session({ store, secret: "secret", resave: false, saveUninitialized: false });
// Nobody listens there: the package redis was found, and its client tries to connect.
store.once("disconnect", (error) => {
  assert.equal(error.code, "ECONNREFUSED");
  void store.close();
});
