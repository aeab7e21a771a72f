import { Cluster, Redis } from "ioredis";
import { Redis as Redis5 } from "ioredis5";
import { Redis as Valkey } from "iovalkey";
import { RedisStore } from "redis-session-store";

// Every client of the family has other types; none of them may need a cast.
new RedisStore({ client: new Redis({ lazyConnect: true }) });
new RedisStore({ client: new Redis5({ lazyConnect: true }) });
new RedisStore({ client: new Valkey({ lazyConnect: true }) });
new RedisStore({ client: new Cluster(["127.0.0.1:1"], { lazyConnect: true }) });
