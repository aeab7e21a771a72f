import { performance } from "node:perf_hooks";
import { createClient } from "redis";
import { cacheBench } from "../support/cache.js";
import { keepSecret } from "../support/errors.js";
import { sessionOf, type TestClient, until } from "../support/store.js";

// A Redis user who may not do what the cache needs has a store without a cache.

const bench = cacheBench();

const password = "password-of-a-user-without-rights";
keepSecret(password);
const RIGHTS = ["+get", "+set", "+eval", "+evalsha", "+del", "+ping", "+client", "+pttl"];

/** How often the server has refused something that a user may not do. */
async function refusals(): Promise<number> {
  const stats = await bench.raw.send<string>("INFO", "errorstats");
  return Number(/errorstat_NOPERM:count=(\d+)/.exec(stats)?.[1] ?? 0);
}

test.each(["+pttl", "+client"])(
  "without %s every read is answered, and one warning says so",
  async (lacking) => {
    const rights = RIGHTS.filter((right) => right !== lacking);
    const name = `user${lacking.slice(1)}`;
    await bench.raw.send("ACL", "SETUSER", name, "reset", "on", `>${password}`, "~*", ...rights);
    const client = createClient({ url: bench.server.url, username: name, password });
    client.on("error", () => {});
    await client.connect();
    let ahead = 0;
    const now = performance.now.bind(performance);
    const clock = jest.spyOn(performance, "now").mockImplementation(() => now() + ahead);
    const warned = jest.spyOn(process, "emitWarning").mockImplementation(() => {});
    try {
      const store = bench.cached(client as unknown as TestClient);
      await store.set("sid", sessionOf({ n: 1 }));
      const read = async () => expect(await store.get("sid")).toMatchObject({ n: 1 });
      // The tracking connection is made meanwhile.
      await until(async () => {
        await read();
        return warned.mock.calls.length > 0;
      });
      for (let times = 0; times < 20; times++) await Promise.all([read(), read()]);
      // It tries again later, and is refused again.
      const before = await refusals();
      ahead = 3_600_000;
      await until(async () => {
        await read();
        return (await refusals()) > before;
      });
      for (let times = 0; times < 20; times++) await read();
      expect(warned.mock.calls).toEqual([
        [
          expect.stringMatching(/option "cache".*NOPERM/s),
          { type: "RedisSessionStoreWarning", code: "NO_CACHE" },
        ],
      ]);
      expect(String(warned.mock.calls)).not.toContain(password);
    } finally {
      clock.mockRestore();
      warned.mockRestore();
      client.destroy();
    }
  },
);
