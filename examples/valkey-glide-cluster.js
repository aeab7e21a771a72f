// A cluster with valkey-glide.
import { GlideClusterClient } from "@valkey/valkey-glide";
import { RedisStore } from "redis-session-store";
import { addresses } from "./addresses.js";
import { serve } from "./app.js";

const client = await GlideClusterClient.createClient({
  addresses: addresses("REDIS_NODES", "127.0.0.1:7000,127.0.0.1:7001,127.0.0.1:7002"),
});

serve(new RedisStore({ client }));
