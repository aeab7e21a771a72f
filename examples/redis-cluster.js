// A cluster with the package redis, version 4, 5 or 6.
import { createCluster } from "redis";
import { RedisStore } from "redis-session-store";
import { addresses } from "./addresses.js";
import { serve } from "./app.js";

const nodes = addresses("REDIS_NODES", "127.0.0.1:7000,127.0.0.1:7001,127.0.0.1:7002");
const client = createCluster({ rootNodes: nodes.map((socket) => ({ socket })) });
client.on("error", (error) => console.error(String(error)));
await client.connect();

serve(new RedisStore({ client }));
