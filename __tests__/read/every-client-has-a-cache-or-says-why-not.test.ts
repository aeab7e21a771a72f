import { Redis } from "ioredis";
import { createClient, createClientPool, createCluster, createSentinel } from "redis";
import { createClient as createClient4 } from "redis4";
import {
  createClient as createClient5,
  createClientPool as createClientPool5,
  createCluster as createCluster5,
} from "redis5";
import { type RedisClient, RedisStore } from "../../lib/index.js";
import { connect, newClient, type TestClient, until } from "../support/store.js";
import { withMember } from "../support/through.js";
import { fromCache, warm } from "../support/tracking.js";

const cache = { max: 10 };
const node = { rootNodes: [{ url: "redis://127.0.0.1:1" }] };

/** What redis 5 was before it knew the option: it takes it and does nothing. */
function ignoringInvalidations(client: TestClient): TestClient {
  const { duplicate } = client as unknown as { duplicate: (options: object) => TestClient };
  return withMember(client, {
    duplicate: (options: { emitInvalidate?: boolean }) =>
      duplicate.call(client, { ...options, emitInvalidate: false }),
  });
}

test.each<[string, () => RedisClient]>([
  ["redis 4", () => createClient4() as unknown as RedisClient],
  ["redis 5 before 5.9", () => ignoringInvalidations(newClient(5).client)],
  ["a pool of redis 5", () => createClientPool5() as unknown as RedisClient],
  ["a pool of redis 6", () => createClientPool() as unknown as RedisClient],
  ["a cluster of redis 5", () => createCluster5(node) as unknown as RedisClient],
  ["a cluster of redis 6", () => createCluster(node) as unknown as RedisClient],
  [
    "a sentinel",
    () =>
      createSentinel({
        name: "sessions",
        sentinelRootNodes: [{ host: "127.0.0.1", port: 1 }],
      }) as unknown as RedisClient,
  ],
  ["ioredis", () => new Redis({ lazyConnect: true })],
])("cache is refused for %s, with what it needs", (_, make) => {
  const client = make();
  expect(() => new RedisStore({ client, cache })).toThrow(
    expect.objectContaining({
      code: "ERR_INVALID_OPTION",
      message: expect.stringMatching(/"cache".*redis 5\.9.*leave it out/) as string,
    }) as Error,
  );
  expect(() => new RedisStore({ client, cache: false })).not.toThrow();
});

test.each<[string, () => TestClient]>([
  ["redis 5", () => createClient5() as TestClient],
  ["redis 6", () => createClient() as unknown as TestClient],
  ["redis 6 with RESP2", () => createClient({ RESP: 2 }) as unknown as TestClient],
  [
    "redis 6 with a cache of its own",
    () =>
      createClient({
        RESP: 3,
        clientSideCache: { ttl: 0, maxEntries: 1, evictPolicy: "LRU" },
      }) as unknown as TestClient,
  ],
])("%s is taken, and asking connects nothing", (_, make) => {
  const client = make();
  const store = new RedisStore({ client, cache });
  expect(client.isOpen).toBe(false);
  store.close();
});

test("a client with RESP2 and types of its own has a cache too", async () => {
  const { client, close } = newClient(6);
  const url = process.env.REDIS_SESSION_STORE_TEST_URL as string;
  const mine = createClient({ url, RESP: 2, commandOptions: { typeMapping: { 36: Buffer } } });
  await mine.connect();
  const store = new RedisStore({ client: mine as unknown as TestClient, prefix: "resp2:", cache });
  try {
    await store.set("sid", { cookie: { originalMaxAge: null } } as never);
    await warm(store, "sid");
    const other = await connect();
    await other.sendCommand(["DEL", "resp2:sid"]);
    await until(async () => (await store.get("sid")) === null);
    expect(fromCache(store, "sid")).toBeUndefined();
  } finally {
    store.close();
    mine.destroy();
    close();
  }
  expect(client.isOpen).toBe(false);
});
