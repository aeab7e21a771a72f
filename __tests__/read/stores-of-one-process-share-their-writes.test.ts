import { createClient } from "redis";
import { RedisStore } from "../../lib/index.js";
import { cacheBench } from "../support/cache.js";
import { connect, makeStore, type TestClient } from "../support/store.js";
import { fromCache } from "../support/tracking.js";

// A process reads its own writes, by whichever of its stores.

const bench = cacheBench();

let client: TestClient;
beforeAll(async () => {
  client = await connect(6, bench.server.url);
});

/** Before the server's announcement can arrive: as soon as the write is acknowledged. */
const writers: [string, (client: TestClient, prefix: string) => Promise<RedisStore>][] = [
  ["a second store with a cache", async (same, prefix) => bench.cached(same, { prefix })],
  ["a second store without one", async (same, prefix) => makeStore(same, { prefix })],
  [
    "a store on a client of its own",
    async (_, prefix) => makeStore(await connect(5, bench.server.url), { prefix }),
  ],
  [
    "a store whose client has the first half of the prefix",
    async (_, prefix) => {
      const half = Math.floor(prefix.length / 2);
      const keyPrefix = prefix.slice(0, half);
      const keyed = createClient({ url: bench.server.url, keyPrefix });
      keyed.on("error", () => {});
      await keyed.connect();
      closings.push(() => keyed.destroy());
      return makeStore(keyed, { prefix: prefix.slice(half) }) as RedisStore;
    },
  ],
];
const closings: (() => void)[] = [];
afterAll(() => {
  for (const close of closings) close();
});

test.each(writers)("what %s has written is read, and what it removed is gone", async (_, open) => {
  const store = await bench.warmStore(client);
  const second = await open(client, store.prefix);
  const loaded = Object.assign((await second.get("sid")) as object, { n: 2 });
  expect(await second.set("sid", loaded as never)).toBe("OK");
  expect(fromCache(store, "sid")).toBeUndefined();
  expect(await store.get("sid")).toMatchObject({ n: 2 });
  expect(await second.destroy("sid")).toBe(1);
  expect(fromCache(store, "sid")).toBeUndefined();
  expect(await store.get("sid")).toBeNull();
});

test("the stores of the ES module and of the CommonJS build share them too", async () => {
  const store = await bench.warmStore(client);
  // Two instances of the same modules, as of two builds.
  let Other: typeof RedisStore | undefined;
  await jest.isolateModulesAsync(async () => {
    ({ RedisStore: Other } = await import("../../lib/index.js"));
  });
  if (Other === undefined || Other === RedisStore) throw new Error("not isolated");
  const second = new Other({ client, prefix: store.prefix });
  expect(fromCache(store, "sid")).toBeDefined();
  const ending = second.destroy("sid");
  // Long enough to send it, and nothing that Redis says can arrive meanwhile.
  for (let turn = 0; turn < 100; turn++) await Promise.resolve();
  expect(fromCache(store, "sid")).toBeUndefined();
  expect(await ending).toBe(1);
});
