import { deserialize, serialize, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Serializer } from "../../lib/index.js";
import { cacheBench } from "../support/cache.js";
import {
  type AppSession,
  connect,
  makeStore,
  sessionOf,
  type TestClient,
} from "../support/store.js";
import { fromCache, warm } from "../support/tracking.js";

// What a binary serializer reads and writes is shared with nobody.

const bench = cacheBench();

let client: TestClient;
beforeAll(async () => {
  client = await connect(6, bench.server.url);
});

const views: Serializer = { parse: deserialize, stringify: serialize, binary: true };
const token = (session: unknown) => (session as AppSession).token as Uint8Array;

test("a change in place of what is a view of the stored bytes is saved", async () => {
  const store = makeStore(client, { serializer: views });
  await store.set("sid", sessionOf({ token: new Uint8Array([1, 2, 3]) }));
  const session = (await store.get("sid")) as AppSession;
  token(session)[0] = 9;
  expect(await store.set("sid", session)).toBe("OK");
  expect([...token(await store.get("sid"))]).toEqual([9, 2, 3]);
});

test("and no other request sees it in the cache", async () => {
  const store = bench.cached(client, { serializer: views });
  await store.set("sid", sessionOf({ token: new Uint8Array([1, 2, 3]) }));
  await warm(store, "sid");
  token(fromCache(store, "sid"))[0] = 9;
  expect([...token(fromCache(store, "sid"))]).toEqual([1, 2, 3]);
});

test("a serializer may write each session into the same memory", async () => {
  const memory = Buffer.alloc(1000);
  const serializer: Serializer = {
    binary: true,
    parse: (bytes) => JSON.parse(bytes.toString()) as unknown,
    stringify: (session) => memory.subarray(0, memory.write(JSON.stringify(session))),
  };
  const store = makeStore(client, { serializer });
  await store.set("sid", sessionOf({ n: 1 }));
  const session = (await store.get("sid")) as AppSession;
  session.a = 1;
  expect(await store.set("sid", session)).toBe("OK");
  await store.set("other", sessionOf({ text: "x".repeat(100) }));
  // The store knows still what it has written.
  session.a = 2;
  expect(await store.set("sid", session)).toBe("OK");
  expect(await store.get("sid")).toMatchObject({ n: 1, a: 2 });
});

test("a cached session takes little more memory than its bytes", async () => {
  const count = 200;
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const inUse = async () => {
    // The memory of what is gone is given back behind the first.
    for (let times = 0; times < 3; times++) {
      collect();
      await new Promise(setImmediate);
    }
    return process.memoryUsage().arrayBuffers;
  };
  const store = bench.cached(client, { serializer: views, cache: { max: 2 * count } });
  const sids = Array.from({ length: count }, (_, index) => `sid-${index}`);
  const large = sessionOf({ large: "x".repeat(20_000) });
  for (const sid of sids) {
    await store.set(sid, sessionOf({ n: 1 }));
    await store.set(`${sid}-large`, large);
  }
  await warm(store, "sid-0");
  const before = await inUse();
  for (const sid of sids) {
    // Both come in one piece of memory.
    await Promise.all([store.get(sid), store.get(`${sid}-large`)]);
    await store.destroy(`${sid}-large`);
  }
  expect(fromCache(store, "sid-1")).toMatchObject({ n: 1 });
  expect(((await inUse()) - before) / count).toBeLessThan(5000);
});
