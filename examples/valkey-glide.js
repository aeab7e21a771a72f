// One server with valkey-glide.
import { GlideClient } from "@valkey/valkey-glide";
import { RedisStore } from "redis-session-store";
import { addresses } from "./addresses.js";
import { serve } from "./app.js";

const client = await GlideClient.createClient({
  addresses: addresses("REDIS_NODES", "127.0.0.1:6379"),
});

serve(new RedisStore({ client }));
