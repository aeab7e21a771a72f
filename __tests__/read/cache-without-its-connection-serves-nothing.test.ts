import { setTimeout as delay } from "node:timers/promises";
import { cacheBench } from "../support/cache.js";
import { startProxy, type TcpProxy } from "../support/proxy.js";
import {
  type AppSession,
  connect,
  rawOf,
  refusal,
  sessionOf,
  type TestClient,
  until,
} from "../support/store.js";
import { withMember } from "../support/through.js";
import { fromCache, type TrackingClient, tracked, trackingIds, warm } from "../support/tracking.js";

const bench = cacheBench();

describe("the tracking connection", () => {
  let link: TcpProxy;
  let client: TestClient;
  let connections: TrackingClient[];
  beforeEach(async () => {
    link = await startProxy(bench.server.port);
    // Only tracking goes through the proxy.
    ({ client, connections } = tracked(await connect(6, bench.server.url), { url: link.url }));
  });
  afterEach(() => link.stop());

  test("that is lost empties the cache and turns it off until there is another", async () => {
    const store = await bench.warmStore(client);
    link.drop(true);
    await bench.raw.set(`${store.prefix}sid`, JSON.stringify(sessionOf({ n: 2 })));
    await until(async () => ((await store.get("sid")) as AppSession).n === 2);
    for (let n = 3; n < 30; n++) {
      await bench.raw.set(`${store.prefix}sid`, JSON.stringify(sessionOf({ n })));
      expect(await store.get("sid")).toMatchObject({ n });
    }
    link.restore();
    await warm(store, "sid");
    await bench.raw.send("DEL", `${store.prefix}sid`);
    await until(async () => (await store.get("sid")) === null);
  });

  test("that the server kills leaves no session alive", async () => {
    const store = await bench.warmStore(client);
    const ids = await trackingIds(bench.other);
    expect(ids).toHaveLength(1);
    for (const id of ids) await bench.raw.send("CLIENT", "KILL", "ID", id);
    await bench.raw.send("DEL", `${store.prefix}sid`);
    await until(async () => (await store.get("sid")) === null);
    await store.set("sid", sessionOf());
    await warm(store, "sid");
  });

  test("that is half-open leaves no session alive: it has a second and the timeout to answer", async () => {
    const store = await bench.warmStore(client, { timeout: 200 });
    link.mute();
    await bench.raw.send("DEL", `${store.prefix}sid`);
    // Nobody has told it yet; that is the bound which docs/cache.md states.
    expect(fromCache(store, "sid")).toMatchObject({ n: 1 });
    await until(() => fromCache(store, "sid") === undefined);
    expect(await store.get("sid")).toBeNull();
    await store.set("sid", sessionOf());
    await warm(store, "sid");
    expect(connections).toHaveLength(2);
  });

  test("that was half-open while this process stood still vouches for nothing", async () => {
    const store = await bench.warmStore(client, { timeout: 100 });
    link.mute();
    await bench.raw.send("DEL", `${store.prefix}sid`);
    const end = performance.now() + 1200;
    // No timer of this process runs meanwhile.
    while (performance.now() < end);
    expect(fromCache(store, "sid")).toBeUndefined();
  });

  test("that never gets ready keeps no read waiting", async () => {
    link.muteNew();
    const store = bench.cached(client);
    await store.set("sid", sessionOf({ n: 1 }));
    for (let time = 0; time < 20; time++) {
      expect(await store.get("sid")).toMatchObject({ n: 1 });
    }
  });

  test("is made anew when the app's client has a new connection, which may lead elsewhere", async () => {
    const store = await bench.warmStore(client);
    const id = await rawOf(client).send<number>("CLIENT", "ID");
    const before = connections.length;
    await bench.raw.send("CLIENT", "KILL", "ID", String(id));
    await until(() => fromCache(store, "sid") === undefined);
    await until(async () => {
      await store.get("sid");
      return connections.length > before;
    });
    await warm(store, "sid");
  });

  test("fails in the middle of a reply, and the read is answered by the app's own connection", async () => {
    const store = await bench.warmStore(client);
    await store.set("sid", sessionOf({ n: 2 }));
    link.resetInReply();
    expect(await store.get("sid")).toMatchObject({ n: 2 });
    await warm(store, "sid");
  });

  test("ends with close(), and the store works on", async () => {
    const store = await bench.warmStore(client);
    store.close();
    await until(async () => (await trackingIds(bench.other)).length === 0);
    expect(fromCache(store, "sid")).toBeUndefined();
    expect(await store.get("sid")).toMatchObject({ n: 1 });
    await delay(1200);
    await store.get("sid");
    expect(connections).toHaveLength(1);
    expect(client.isReady).toBe(true);
    store.close();
  });

  test("ends with close() also while it is being made", async () => {
    link.muteNew();
    const store = bench.cached(client);
    await store.get("sid");
    await until(() => link.links === 1);
    store.close();
    await until(() => connections.every((connection) => !connection.isOpen));
    expect(await store.get("sid")).toBeNull();
    expect(connections).toHaveLength(1);
  });

  test("ends with the app's client, and what was cached is not served any more", async () => {
    const mine = await connect(6, bench.server.url);
    const store = await bench.warmStore(mine, { timeout: 100 });
    (mine as TrackingClient).destroy();
    expect(await refusal(store.get("sid"))).toMatchObject({ code: "ERR_UNAVAILABLE" });
    await until(async () => (await trackingIds(bench.other)).length === 0);
  });
});

test("a Redis user who may not track has no cache, and all sessions", async () => {
  await bench.raw.send("ACL", "SETUSER", "reader", "on", ">pass", "~*", "+@all", "-client");
  const client = await connect(6, bench.server.url.replace("//", "//reader:pass@"));
  const store = bench.cached(client);
  await store.set("sid", sessionOf({ n: 1 }));
  for (let time = 0; time < 10; time++) {
    expect(fromCache(store, "sid")).toBeUndefined();
    expect(await store.get("sid")).toMatchObject({ n: 1 });
    await delay(10);
  }
});

test("a connection that turns out not to track is not trusted", async () => {
  const client = await connect(6, bench.server.url);
  const deaf = tracked(client, { emitInvalidate: false }).client;
  const asked = deaf as unknown as { duplicate(options: { RESP: number }): unknown };
  const original = client as unknown as typeof asked;
  const duplicate = (options: { RESP: number }) =>
    // What is asked at construction still gets its answer.
    options.RESP === 2 ? original.duplicate(options) : asked.duplicate(options);
  const store = bench.cached(withMember(deaf, { duplicate }));
  await store.set("sid", sessionOf({ n: 1 }));
  for (let time = 0; time < 20; time++) {
    expect(await store.get("sid")).toMatchObject({ n: 1 });
    expect(fromCache(store, "sid")).toBeUndefined();
    await delay(5);
  }
});
