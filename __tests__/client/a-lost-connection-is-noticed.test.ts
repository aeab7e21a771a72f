import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import supertest from "supertest";
import { RedisStore } from "../../lib/index.js";
import { type RedisServer, startRedis } from "../../tools/redis-server.js";
import { type Opened, singles } from "../conformance/clients.js";
import { startProxy, type TcpProxy } from "../support/proxy.js";
import { makeApp, makeStore, newClient, until, versions } from "../support/store.js";

// A store that nobody asks anything knows all the same that its client has no connection.

const timeout = 150;

let server: RedisServer;
let proxy: TcpProxy;
beforeAll(async () => {
  server = await startRedis();
});
beforeEach(async () => {
  proxy = await startProxy(server.port);
});
afterEach(() => proxy.stop());
afterAll(() => server.stop());

const names = [
  "redis 4",
  "redis 5",
  "redis 6",
  "redis 5 pool",
  "ioredis 5",
  "ioredis 6",
  "iovalkey",
  "valkey-glide",
];
const ways = singles.filter(({ name }) => names.includes(name));

describe.each(ways)("$name", ({ open }) => {
  let opened: Opened;
  beforeEach(async () => {
    opened = await open({ port: proxy.port });
  });
  afterEach(() => opened.close());

  test("a client that loses its connection: down, and up when it is back, although nobody asks", async () => {
    const direct = await open({ port: server.port });
    const well = makeStore(direct.client, { timeout });
    const store = makeStore(opened.client, { timeout });
    const seen: string[] = [];
    well.on("down", () => seen.push("the other store is down"));
    store.on("down", () => seen.push("down"));
    store.on("up", () => seen.push("up"));
    proxy.drop(true);
    await until(() => seen.length === 1);
    proxy.restore();
    await until(() => seen.length === 2);
    expect(seen).toEqual(["down", "up"]);
    await direct.close();
  });

  test("after close() it says nothing of its own accord", async () => {
    const closed = makeStore(opened.client, { timeout });
    const open = makeStore(opened.client, { timeout });
    const seen: string[] = [];
    closed.on("down", () => seen.push("closed"));
    open.on("down", () => seen.push("open"));
    closed.close();
    proxy.drop(true);
    await until(() => seen.length > 0);
    expect(seen).toEqual(["open"]);
  });
});

test.each(versions)("a client of redis %i that nobody has connected: down", async (version) => {
  const { client, close } = newClient(version);
  const store = makeStore(client, { timeout });
  await new Promise<void>((resolve) => store.once("down", resolve));
  const up = new Promise<void>((resolve) => store.once("up", resolve));
  await client.connect();
  await up;
  close();
});

test("after close() a Redis that is down is asked no more", async () => {
  // This client is asked although it has no connection.
  const glide = ways.find(({ name }) => name === "valkey-glide") as (typeof ways)[number];
  const [ours, other] = await Promise.all([1, 2].map(() => glide.open({ port: server.port })));
  const asked = [ours, other].map((one) => {
    const client = one?.client as { customCommand(...args: unknown[]): Promise<unknown> };
    return jest.spyOn(client, "customCommand").mock.calls;
  });
  const stores = [ours, other].map((one) =>
    makeStore(one?.client as Opened["client"], { timeout }),
  );
  await Promise.all([ours, other].map((one) => one?.close()));
  await Promise.all(
    stores.map((store) => new Promise<void>((resolve) => store.once("down", resolve))),
  );
  stores[0]?.close();
  const rounds = (count: number) => {
    const goal = Number(asked[1]?.length) + count;
    return until(() => Number(asked[1]?.length) >= goal);
  };
  // What it was about to ask may still come.
  await rounds(2);
  const before = asked[0]?.length;
  await rounds(3);
  expect(asked[0]?.length).toBe(before);
  jest.restoreAllMocks();
});

test("after close() a Redis that was down is found when the store is used", async () => {
  const { client, close } = newClient(6, { url: proxy.url });
  await client.connect();
  const store = makeStore(client, { timeout });
  const down = new Promise<void>((resolve) => store.once("down", resolve));
  proxy.drop(true);
  await down;
  store.close();
  await expect(store.get("sid")).rejects.toMatchObject({ code: "ERR_UNAVAILABLE" });
  proxy.restore();
  await until(async () => (await store.get("sid").catch(() => undefined)) === null);
  close();
});

test("a store that nobody has any more is gone, though its Redis is down", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const { client } = newClient(6);
  const forgotten = await (async () => {
    const store = new RedisStore({ client, timeout });
    await new Promise<void>((resolve) => store.once("down", resolve));
    return new WeakRef(store);
  })();
  await until(() => {
    collect();
    return forgotten.deref() === undefined;
  });
});

test('with whenDown: "bypass" the first visitor of a dead Redis is served without a session', async () => {
  const { client, close } = newClient(6, { url: proxy.url });
  await client.connect();
  const store = makeStore(client, { timeout, whenDown: "bypass" });
  const app = makeApp(store, {
    "/": (req, res) => void res.send(req.session === undefined ? "bypassed" : "session"),
  });
  proxy.drop(true);
  await new Promise<void>((resolve) => store.once("down", resolve));
  await new Promise(setImmediate);
  expect((await supertest(app).get("/")).text).toBe("bypassed");
  close();
});
