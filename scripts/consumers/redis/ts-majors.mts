import { createClient } from "redis";
import { RedisStore } from "redis-session-store";
import { createClient as createClient4 } from "redis4";
import { createClient as createClient5 } from "redis5";

// Every supported major has other types; none of them may need a cast.
new RedisStore({ client: createClient() });
new RedisStore({ client: createClient5() });
new RedisStore({ client: createClient4() });
