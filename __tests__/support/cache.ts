import type { RedisStore } from "../../lib/index.js";
import { type RedisServer, startRedis } from "../../tools/redis-server.js";
import { connect, makeStore, rawOf, sessionOf, type TestClient } from "./store.js";
import { warm } from "./tracking.js";

type Options = Parameters<typeof makeStore>[1];

/** A server for the tests of one file, and stores with a cache, which are closed after each test. */
export interface CacheBench {
  readonly server: RedisServer;
  /** Another client than the store's: what it does is done by another process. */
  readonly other: TestClient;
  readonly raw: ReturnType<typeof rawOf>;
  cached(client: TestClient, options?: Options): RedisStore;
  /** A store that has a session in its cache, `sid` with `n: 1`. */
  warmStore(client: TestClient, options?: Options): Promise<RedisStore>;
  /** How many commands the server has run, the questions of this bench and pings aside. */
  commandsRun(): Promise<number>;
}

/** To be called once in a file; the members are there when the tests run. */
export function cacheBench(): CacheBench {
  const stores: RedisStore[] = [];
  let server: RedisServer;
  let other: TestClient;
  let raw: CacheBench["raw"];
  beforeAll(async () => {
    // Once in a second, so that the server finds out late what has expired.
    server = await startRedis({ args: ["--hz", "1"] });
    other = await connect(6, server.url);
    raw = rawOf(other);
  });
  afterEach(() => {
    for (const store of stores.splice(0)) store.close();
  });
  afterAll(() => server.stop());

  const bench: CacheBench = {
    get server() {
      return server;
    },
    get other() {
      return other;
    },
    get raw() {
      return raw;
    },
    cached(client, options = {}) {
      const store = makeStore(client, { cache: { max: 100 }, ...options });
      stores.push(store);
      return store;
    },
    async warmStore(client, options) {
      const store = bench.cached(client, options);
      await store.set("sid", sessionOf({ n: 1 }));
      await warm(store, "sid");
      return store;
    },
    async commandsRun() {
      const text = await raw.send<string>("INFO", "commandstats");
      let calls = 0;
      for (const [, name = "", count] of text.matchAll(/cmdstat_(\S+?):calls=(\d+)/g)) {
        if (!/^(info|ping)/.test(name)) calls += Number(count);
      }
      return calls;
    },
  };
  return bench;
}
