import { type RedisServer, startRedis } from "../../tools/redis-server.js";
import { expectAccounted, startLoad } from "../support/load.js";
import { loopTime } from "../support/loop-time.js";
import { startProxy, type TcpProxy } from "../support/proxy.js";
import { connect, makeStore, sessionOf, type TestClient, until } from "../support/store.js";
import { fromCache } from "../support/tracking.js";

// The option `cache`: what is read from memory during an outage, and for how long.

const timeout = 400;
/** A request reads, perhaps by way of the cache, and writes, each within `timeout`. */
const bound = 3 * timeout + 2000;
/** For so long a session may be served that was destroyed elsewhere, when a connection dies without a sign. */
const staleness = 1000 + timeout;

let server: RedisServer;
let direct: TestClient;
let proxy: TcpProxy;
beforeAll(async () => {
  server = await startRedis();
  direct = await connect(6, server.url);
});
beforeEach(async () => {
  proxy = await startProxy(server.port);
});
afterEach(() => proxy.stop());
afterAll(() => server.stop());

const open = async () => {
  const store = makeStore(await connect(6, proxy.url), { timeout, cache: { max: 1000 } });
  closings.push(store);
  return store;
};
const closings: { close(): unknown }[] = [];
afterEach(() => {
  for (const store of closings.splice(0)) store.close();
});

/** Waits until a session is answered from memory. */
async function cached(store: Awaited<ReturnType<typeof open>>, sid: string): Promise<void> {
  await until(async () => {
    await store.get(sid).catch(() => null);
    return fromCache(store, sid) !== undefined;
  });
}

/** How long a destroyed session is still served, in ms of `loopTime`. */
async function servedFor(store: Awaited<ReturnType<typeof open>>, sid: string): Promise<number> {
  const since = loopTime();
  await until(async () => (await store.get(sid).catch(() => null)) === null);
  return loopTime() - since;
}

test("connections that break again and again under load: nothing is lost, and nothing old is served", async () => {
  const store = await open();
  const load = await startLoad(store);
  for (let times = 0; times < 5; times++) {
    await load.answers(20);
    if (times % 2) proxy.drop();
    else await direct.sendCommand(["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
  }
  await load.everyone();
  const report = await load.stop();
  expectAccounted(report, "ERR_UNAVAILABLE", "ERR_TIMEOUT");
  expect(report.slowest).toBeLessThan(bound);
  expect(await load.lost(makeStore(direct, { prefix: store.prefix }))).toEqual([]);
});

test("CLIENT KILL of the tracking connection: a logout elsewhere is seen", async () => {
  const store = await open();
  await store.set("sid", sessionOf());
  await cached(store, "sid");
  const clients = String(await direct.sendCommand(["CLIENT", "LIST"]));
  const tracking = clients.split("\n").find((line) => /flags=[A-Za-su-z]*t/.test(line));
  const id = /^id=(\d+)/.exec(tracking ?? "")?.[1] ?? "";
  expect(await direct.sendCommand(["CLIENT", "KILL", "ID", id])).toBe(1);
  await direct.sendCommand(["DEL", `${store.prefix}sid`]);
  expect(await servedFor(store, "sid")).toBeLessThan(staleness + 1000);
  await store.set("sid", sessionOf());
  // It vouches for what it reads again.
  await cached(store, "sid");
});

test("a half-open tracking connection: a logout elsewhere is served no longer than a second and the timeout", async () => {
  const store = await open();
  await store.set("sid", sessionOf());
  await cached(store, "sid");
  proxy.mute();
  await direct.sendCommand(["DEL", `${store.prefix}sid`]);
  // Every answer from memory counts, the errors that follow do not.
  expect(await servedFor(store, "sid")).toBeLessThan(staleness + 1000);
});

test("a tracking connection that is taken and never answered: the app goes on without the cache, and with it later", async () => {
  const store = await open();
  proxy.muteNew();
  await store.set("sid", sessionOf({ a: 1 }));
  for (let times = 0; times < 3; times++) {
    expect(await store.get("sid")).toMatchObject({ a: 1 });
  }
  proxy.restore();
  await cached(store, "sid");
});

test("a server that freezes: requests fail in time with the cache too, and recover", async () => {
  const store = await open();
  const load = await startLoad(store);
  await load.answers(30);
  server.kill("SIGSTOP");
  try {
    await load.failures("ERR_UNAVAILABLE", 20);
  } finally {
    server.kill("SIGCONT");
  }
  await load.everyone();
  const report = await load.stop();
  expectAccounted(report, "ERR_UNAVAILABLE", "ERR_TIMEOUT");
  expect(report.slowest).toBeLessThan(bound);
  expect(await load.lost(store)).toEqual([]);
});
