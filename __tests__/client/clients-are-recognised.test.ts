import { GlideClient, Logger } from "@valkey/valkey-glide";
import { Cluster as Cluster6, Redis as Redis6 } from "ioredis";
import { Redis as Redis5 } from "ioredis5";
import { Redis as Valkey } from "iovalkey";
import * as redis6 from "redis";
import * as redis4 from "redis4";
import * as redis5 from "redis5";
import { type RedisClient, RedisStore } from "../../lib/index.js";
import { startServer } from "../support/servers.js";
import { sessionOf, until, url } from "../support/store.js";

// It would report what the tests provoke.
Logger.setLoggerConfig("off");

const { hostname: host, port: portText } = new URL(url);
const port = Number(portText);

/** Why a client is refused; a test fails that expects a refusal and sees none. */
function refusal(client: unknown): string {
  try {
    new RedisStore({ client: client as redis6.RedisClientType });
  } catch (error) {
    expect(error).toMatchObject({ name: "StoreError", code: "ERR_INVALID_OPTION" });
    return (error as Error).message;
  }
  throw new Error("the client was accepted");
}

const accepted = (client: unknown) =>
  expect(() => new RedisStore({ client: client as redis6.RedisClientType })).not.toThrow();

/** Its errors are nobody's: servers come and go. */
function quiet<Client extends { on(event: "error", listener: () => void): unknown }>(
  client: Client,
): Client {
  client.on("error", () => {});
  return client;
}

describe("what is no client is refused at construction", () => {
  const cases: [name: string, client: unknown, why: RegExp][] = [
    ["undefined", undefined, /nothing was passed/],
    ["null", null, /is null/],
    ["a URL", "redis://localhost", /is a string/],
    ["a number", 6379, /is number/],
    ["an empty object", {}, /none that the store knows/],
    ["a Map", new Map(), /none that the store knows/],
    ["a class", redis6.createClient, /is a function or class/],
    ["a promise of a client", Promise.resolve({}), /is a promise; await it/],
    ["another store", { client: {}, get() {}, set() {} }, /none that the store knows/],
    [
      // ioredis-mock has these, and no way to send a command.
      "a mock of a client",
      { get() {}, set() {}, multi() {}, customCommand() {}, duplicate() {} },
      /as a mock does \(ioredis-mock, redis-mock\).*redis-memory-server/,
    ],
    ["a client of redis 3", { send_command() {}, connected: true, options: {} }, /none that/],
    [
      "a client of redis 4.0",
      { sendCommand() {}, isOpen: true },
      /early version of redis 4; update/,
    ],
    ["a client of something else", { sendCommand() {} }, /old or unknown package/],
    [
      "a cluster of redis 4.0",
      { sendCommand() {}, nodeClient() {}, getMasters() {} },
      /redis 4\.5 or older; update/,
    ],
  ];
  test.each(cases)("%s", (_name, client, why) => {
    const message = refusal(client);
    expect(message).toMatch(why);
    // What to pass instead.
    expect(message).toMatch(/createClient.*ioredis.*iovalkey.*valkey-glide/);
  });

  test("a client that somebody forgot to await", async () => {
    const connecting = redis6.createClient({ url }).connect();
    expect(refusal(connecting)).toMatch(/await it and pass the client/);
    (await connecting).destroy();
  });
});

describe("a client that cannot be used is refused", () => {
  test("redis 4 in legacyMode", () => {
    const legacy = redis4.createClient({ url, legacyMode: true });
    expect(refusal(legacy)).toMatch(/legacyMode; create it without/);
    accepted(redis4.createClient({ url }));
  });

  test("what legacy() of redis 5 and 6 returns", () => {
    expect(refusal(redis5.createClient({ url }).legacy())).toMatch(/unknown package/);
    expect(refusal(redis6.createClient({ url }).legacy())).toMatch(/unknown package/);
  });

  describe.each([
    ["ioredis 5", (options: object) => new Redis5({ host, port, ...options })],
    ["ioredis 6", (options: object) => new Redis6({ host, port, ...options })],
    ["iovalkey", (options: object) => new Valkey({ host, port, ...options })],
  ])("%s", (_name, create) => {
    test("that is closed, or about to be", async () => {
      const client = create({});
      accepted(client);
      const quitting = client.quit();
      expect(refusal(client)).toMatch(/closed; create the store before/);
      await quitting;
      expect(refusal(client)).toMatch(/closed; create the store before/);
      await until(() => client.status === "end");
      expect(refusal(client)).toMatch(/closed; create the store before/);
    });

    test("that subscribes or monitors", async () => {
      // A monitor stumbles over what others send to the server that all tests share.
      const server = await startServer();
      const client = create({ port: server.port });
      await client.ping();
      // Over RESP3 a connection does both.
      await client.subscribe("conformance");
      if (client.mode === "subscriber")
        expect(refusal(client)).toMatch(/subscriber mode.*client\.duplicate\(\)/);
      else accepted(client);
      const other = client.duplicate();
      const monitor = await other.monitor();
      expect(refusal(monitor)).toMatch(/monitor mode/);
      for (const one of [monitor, other, client]) one.disconnect();
      await server.stop();
    });

    test("that connects to replicas", () => {
      const client = create({
        sentinels: [{ host, port }],
        name: "x",
        role: "slave",
        lazyConnect: true,
      });
      expect(refusal(client)).toMatch(/replicas.*create it without role/);
    });

    test("that is none but a pipeline of it", () => {
      const client = create({ lazyConnect: true });
      expect(refusal(client.pipeline())).toMatch(/pipeline; pass the client/);
      accepted(client);
    });
  });

  test("a closed cluster of ioredis", async () => {
    const cluster = new Cluster6([{ host, port }], { lazyConnect: true });
    accepted(cluster);
    cluster.disconnect();
    await until(() => cluster.status === "end");
    expect(refusal(cluster)).toMatch(/closed/);
  });

  test("valkey-glide that is closed", async () => {
    const client = await GlideClient.createClient({ addresses: [{ host, port }] });
    accepted(client);
    client.close();
    expect(refusal(client)).toMatch(/closed; create the store before close\(\)/);
  });
});

async function end(client: object): Promise<void> {
  const own = client as { destroy?: () => unknown; disconnect?: () => unknown };
  if (own.destroy !== undefined) await own.destroy();
  else await own.disconnect?.();
}

describe("a client that is not connected yet", () => {
  const nodeRedis = Object.entries({
    "redis 4": () => redis4.createClient({ url }),
    "redis 5": () => redis5.createClient({ url }),
    "redis 5 pool": () => redis5.createClientPool({ url }),
    "redis 6": () => redis6.createClient({ url }),
    "redis 6 pool": () => redis6.createClientPool({ url }),
  });

  test.each(nodeRedis)("is waited for: %s", async (_name, create) => {
    const client = create();
    const store = new RedisStore({ client, prefix: "client.test:", timeout: 10_000 });
    const reading = store.get("nobody");
    await client.connect();
    expect(await reading).toBeNull();
    await end(client);
  });

  test.each(nodeRedis)("is not waited for for ever: %s", async (_name, create) => {
    const store = new RedisStore({ client: create(), prefix: "client.test:", timeout: 60 });
    await expect(store.get("nobody")).rejects.toMatchObject({
      code: "ERR_UNAVAILABLE",
      message: expect.stringContaining("connect()") as unknown,
    });
  });

  test.each([
    ["ioredis 5", () => new Redis5({ host, port, lazyConnect: true })],
    ["ioredis 6", () => new Redis6({ host, port, lazyConnect: true })],
    ["iovalkey", () => new Valkey({ host, port, lazyConnect: true })],
  ])("is connected by the first command with lazyConnect: %s", async (_name, create) => {
    const client = create();
    const store = new RedisStore({ client, prefix: "client.test:", timeout: 10_000 });
    expect(await store.get("nobody")).toBeNull();
    await end(client);
  });
});

describe("while there is no server", () => {
  /** A port on which nobody listens, and on which a server can be started. */
  const freePort = async () => {
    const server = await startServer();
    await server.stop();
    return server.port;
  };
  const clients = Object.entries({
    "redis 4": (to: number) => quiet(redis4.createClient({ socket: { host, port: to } })),
    "redis 5": (to: number) => quiet(redis5.createClient({ socket: { host, port: to } })),
    "redis 6": (to: number) => quiet(redis6.createClient({ socket: { host, port: to } })),
    "ioredis 5": (to: number) => quiet(new Redis5({ host, port: to, lazyConnect: true })),
    "ioredis 6": (to: number) => quiet(new Redis6({ host, port: to, lazyConnect: true })),
    iovalkey: (to: number) => quiet(new Valkey({ host, port: to, lazyConnect: true })),
  });

  test.each(clients)(
    "what was not written in time is not written later: %s",
    async (_n, create) => {
      const to = await freePort();
      const client = create(to);
      (client.connect() as Promise<unknown>).catch(() => {});
      const late = new RedisStore({ client, prefix: "late:", timeout: 80 });
      await expect(late.set("sid", sessionOf())).rejects.toMatchObject({ code: "ERR_UNAVAILABLE" });

      const server = await startServer({ port: to });
      const store = new RedisStore({ client, prefix: "in time:", timeout: 10_000 });
      // The first may be refused at once, by what the store knows of the server.
      await until(() =>
        store.set("sid", sessionOf()).then(
          () => true,
          () => false,
        ),
      );
      expect(await server.command("KEYS", "*")).toEqual(["in time:sid"]);
      await end(client);
      await server.stop();
    },
  );

  test.each([
    ["redis 5", () => redis5.createClient({ url, disableOfflineQueue: true })],
    ["redis 6", () => redis6.createClient({ url, disableOfflineQueue: true })],
    ["ioredis 5", () => new Redis5({ host, port, enableOfflineQueue: false })],
    ["ioredis 6", () => new Redis6({ host, port, enableOfflineQueue: false })],
    ["iovalkey", () => new Valkey({ host, port, enableOfflineQueue: false })],
  ])("a client without its queue fails at once: %s", async (_name, create) => {
    const client = quiet(create() as ReturnType<typeof redis6.createClient>);
    const connecting = "status" in client ? undefined : client.connect().catch(() => {});
    const store = new RedisStore({ client, prefix: "client.test:", timeout: 1_000_000 });
    await expect(store.get("nobody")).rejects.toMatchObject({ code: "ERR_UNAVAILABLE" });
    // One that is ended while it connects leaves its socket open.
    await connecting;
    await end(client);
  });
});

test.each([
  [
    "ioredis 5",
    async (to: number) => quiet(new Redis5({ host, port: to, commandTimeout: 50 })) as RedisClient,
  ],
  ["ioredis 6", async (to: number) => quiet(new Redis6({ host, port: to, commandTimeout: 50 }))],
  ["iovalkey", async (to: number) => quiet(new Valkey({ host, port: to, commandTimeout: 50 }))],
  [
    "valkey-glide",
    (to: number) =>
      GlideClient.createClient({ addresses: [{ host, port: to }], requestTimeout: 50 }),
  ],
])("a timeout of the client's own is one: %s", async (_name, open) => {
  const server = await startServer();
  const client = await open(server.port);
  const store = new RedisStore({ client, prefix: "client.test:", timeout: 20_000 });
  await until(() =>
    store.get("nobody").then(
      () => true,
      () => false,
    ),
  );
  server.kill("SIGSTOP");
  await expect(store.get("nobody")).rejects.toMatchObject({ code: "ERR_TIMEOUT" });
  server.kill("SIGCONT");
  if ("close" in client) client.close();
  else await end(client);
  await server.stop();
});
