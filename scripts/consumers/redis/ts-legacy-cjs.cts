import assert = require("node:assert/strict");
import session = require("express-session");

import { createClient } from "redis";

import legacy = require("redis-session-store/legacy");

const RedisStore = legacy(session);
const options: legacy.LegacyOptions = { client: createClient(), ttl: 60, logErrors: true };
const store: legacy.LegacyStore = new RedisStore(options);
session({ store, secret: "secret", resave: false, saveUninitialized: false });
assert(store instanceof session.Store);
