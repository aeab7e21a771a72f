// A cluster with ioredis, version 5 or 6.
import { Cluster } from "ioredis";
import { RedisStore } from "redis-session-store";
import { addresses } from "./addresses.js";
import { serve } from "./app.js";

const client = new Cluster(
  addresses("REDIS_NODES", "127.0.0.1:7000,127.0.0.1:7001,127.0.0.1:7002"),
);
client.on("error", (error) => console.error(String(error)));

serve(new RedisStore({ client }));
