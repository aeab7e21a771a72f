import { setTimeout as delay } from "node:timers/promises";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { type RedisServer, startRedis } from "../../tools/redis-server.js";
import { type Opened, plain } from "../conformance/clients.js";
import { expectAccounted, type Load, startLoad } from "../support/load.js";
import { startProxy, type TcpProxy } from "../support/proxy.js";
import {
  connect,
  makeStore,
  newClient,
  rawOf,
  refusal,
  sessionOf,
  type TestClient,
  until,
} from "../support/store.js";

// Everything that a network can do to a connection, under load.

const timeout = 400;
/** A request reads and writes, each within `timeout`; the rest is for a machine that is busy. */
const bound = 2 * timeout + 2000;

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

/** Ends the load, when all is well again; what was acknowledged must be there, whoever asks. */
async function settle(load: Load, prefix: string) {
  await load.answers(50);
  const report = await load.stop();
  // A save that finds an earlier one, whose answer was lost, has only the rest of its timeout to go on.
  expectAccounted(report, "ERR_UNAVAILABLE", "ERR_TIMEOUT", "ERR_CONFLICT");
  expect(report.slowest).toBeLessThan(bound);
  expect(await load.lost(makeStore(direct, { prefix }))).toEqual([]);
  return report;
}

const ways = plain.filter(({ name }) => ["redis 6", "ioredis 6"].includes(name));
describe.each(ways)("$name", ({ open }) => {
  let opened: Opened;
  beforeEach(async () => {
    opened = await open({ port: proxy.port });
  });
  afterEach(() => opened.close());

  test("a connection that is reset in the middle of a reply, again and again, costs the requests under way at most", async () => {
    const store = makeStore(opened.client, { timeout });
    const load = await startLoad(store);
    for (let times = 0; times < 5; times++) {
      await load.answers(15);
      proxy.resetInReply();
    }
    const { answered, sent } = await settle(load, store.prefix);
    expect(answered).toBeGreaterThan(sent / 2);
  });

  test("a connection that drops, and a server that refuses connections for a while", async () => {
    const store = makeStore(opened.client, { timeout });
    const load = await startLoad(store);
    for (let times = 0; times < 5; times++) {
      await load.answers(15);
      proxy.drop();
    }
    await load.answers(15);
    proxy.drop(true);
    await load.failures("ERR_UNAVAILABLE", 30);
    proxy.restore();
    await settle(load, store.prefix);
  });

  test("a proxy that delays: shorter than the timeout nothing fails, longer it is ERR_TIMEOUT", async () => {
    const store = makeStore(opened.client, { timeout });
    const load = await startLoad(store);
    proxy.delay(20);
    await load.answers(40);
    expect(load.report().failed).toEqual({});
    proxy.delay(timeout + 200);
    await load.failures("ERR_TIMEOUT", 10);
    proxy.restore();
    await settle(load, store.prefix);
  });

  test("a proxy that drips single bytes is slow and nothing else", async () => {
    const store = makeStore(opened.client, { timeout: 5000 });
    const load = await startLoad(store);
    proxy.drip();
    await load.answers(60);
    proxy.restore();
    expect((await settle(load, store.prefix)).failed).toEqual({});
  });

  test("CLIENT KILL of every connection, again and again", async () => {
    const store = makeStore(opened.client, { timeout });
    const load = await startLoad(store);
    for (let times = 0; times < 5; times++) {
      await load.answers(15);
      await direct.sendCommand(["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    }
    const { answered, sent } = await settle(load, store.prefix);
    expect(answered).toBeGreaterThan(sent / 2);
  });

  test("SCRIPT FLUSH, again and again, fails nothing", async () => {
    const store = makeStore(opened.client, { timeout: 5000 });
    const load = await startLoad(store);
    for (let times = 0; times < 10; times++) {
      await load.answers(8);
      await direct.sendCommand(["SCRIPT", "FLUSH"]);
    }
    expect((await settle(load, store.prefix)).failed).toEqual({});
  });
});

describe("a half-open connection, which no client notices by itself, is given up for another one by", () => {
  const ignore = () => {};
  /** What docs/outages.md recommends, with shorter times. */
  const clients: [string, (port: number) => Promise<Opened>][] = [
    [
      "redis 6 with socketTimeout and pingInterval",
      async (port) => {
        // Without a strategy of the app it gives up for good after a socketTimeout.
        const reconnectStrategy = (retries: number) => Math.min(retries * 50, 500);
        const socket = { port, socketTimeout: 800, reconnectStrategy };
        const client = createClient({ socket, pingInterval: 200 });
        client.on("error", ignore);
        await client.connect();
        return { client, close: () => client.destroy() };
      },
    ],
    [
      "ioredis 6 with socketTimeout",
      async (port) => {
        const client = new Redis({ port, socketTimeout: 800 });
        client.on("error", ignore);
        return { client, close: () => client.disconnect() };
      },
    ],
  ];

  test.each(clients)("%s", async (_, open) => {
    const { client, close } = await open(proxy.port);
    const store = makeStore(client, { timeout });
    const seen: string[] = [];
    store.on("down", () => seen.push("down"));
    store.on("up", () => seen.push("up"));
    const load = await startLoad(store);
    await load.answers(30);
    proxy.mute();
    await load.failures("ERR_TIMEOUT", 1);
    await load.failures("ERR_UNAVAILABLE", 10);
    await settle(load, store.prefix);
    expect(seen.slice(0, 2)).toEqual(["down", "up"]);
    await close();
  });
});

describe("a write that timed out before the client could send it does not happen later", () => {
  const clients = [
    ["redis 4", (port: number) => newClient(4, { url: `redis://127.0.0.1:${port}` })],
    ["redis 5", (port: number) => newClient(5, { url: `redis://127.0.0.1:${port}` })],
    ["redis 6", (port: number) => newClient(6, { url: `redis://127.0.0.1:${port}` })],
    [
      "ioredis 6",
      (port: number) => {
        const client = new Redis({ port });
        client.on("error", () => {});
        return { client, close: () => client.disconnect() };
      },
    ],
  ] as const;
  const connecting = ({ client }: ReturnType<(typeof clients)[number][1]>) => {
    if ("isOpen" in client) client.connect().catch(() => {});
    return client;
  };

  test.each(clients)("%s, while the client looks for its connection", async (_, make) => {
    const made = make(proxy.port);
    const store = makeStore(connecting(made), { timeout });
    await store.set("before", sessionOf());
    proxy.drop(true);
    await until(() => proxy.links === 0);
    // The first may have been on its way already.
    await refusal(store.get("before"));
    const late = ["a", "b", "c"].map((sid) => refusal(store.set(sid, sessionOf())));
    for (const { code } of await Promise.all(late)) expect(code).toBe("ERR_UNAVAILABLE");
    proxy.restore();
    await until(async () => (await store.set("after", sessionOf()).catch(() => "")) === "OK");
    // What the client still had to send, it has sent before that.
    const keys = ["a", "b", "c"].map((sid) => rawOf(direct).exists(store.prefix + sid));
    expect(await Promise.all(keys)).toEqual([false, false, false]);
    made.close();
  });

  test.each(clients)("%s, to a server that froze before it connected", async (_, make) => {
    server.kill("SIGSTOP");
    const made = make(server.port);
    try {
      const store = makeStore(connecting(made), { timeout });
      const late = ["a", "b", "c"].map((sid) => refusal(store.set(sid, sessionOf())));
      for (const { code } of await Promise.all(late)) expect(code).toBe("ERR_UNAVAILABLE");
      server.kill("SIGCONT");
      await until(async () => (await store.set("after", sessionOf()).catch(() => "")) === "OK");
      const keys = ["a", "b", "c"].map((sid) => rawOf(direct).exists(store.prefix + sid));
      expect(await Promise.all(keys)).toEqual([false, false, false]);
    } finally {
      server.kill("SIGCONT");
      made.close();
    }
  });
});

test("a write whose answer is lost may have happened; saving the same object again does not happen twice", async () => {
  const { client, close } = newClient(6, { url: proxy.url });
  await client.connect();
  const store = makeStore(client, { timeout });
  await store.set("sid", sessionOf({ n: 0 }));
  const loaded = Object.assign((await store.get("sid")) as object, { n: 1 });
  proxy.mute();
  expect((await refusal(store.set("sid", loaded as never))).code).toBe("ERR_TIMEOUT");
  proxy.drop();
  await delay(0);
  await until(async () => (await store.get("sid").catch(() => null)) !== null);
  expect(await store.set("sid", loaded as never)).toBe("OK");
  expect(JSON.parse((await rawOf(direct).get(`${store.prefix}sid`)) ?? "")).toMatchObject({ n: 1 });
  close();
});
