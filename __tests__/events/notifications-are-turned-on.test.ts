import { GlideClient } from "@valkey/valkey-glide";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { fromClient } from "../../lib/base/errors.js";
import { KeyspaceReader, lacking } from "../../lib/events/keyspace.js";
import { enableEvents } from "../../lib/events/keyspace-setting.js";
import { RedisStore, type SessionEvents } from "../../lib/index.js";
import { startProxy } from "../support/proxy.js";
import { type Server, startServer } from "../support/servers.js";
import { refusal, sessionOf, until } from "../support/store.js";
import { listen } from "../support/watch-suite.js";

const closings: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closings.splice(0).reverse()) await close();
});

async function start(args: string[] = []): Promise<Server> {
  const server = await startServer({ args });
  closings.push(() => server.stop());
  return server;
}

async function connect(port: number, options: object = {}) {
  const client = createClient({ socket: { port, host: "127.0.0.1" }, ...options });
  client.on("error", () => {});
  await client.connect();
  closings.push(() => client.destroy());
  return client;
}

const clients = {
  redis: (port: number) => connect(port),
  ioredis(port: number) {
    const client = new Redis({ port, host: "127.0.0.1" });
    client.on("error", () => {});
    closings.push(() => client.disconnect());
    return client;
  },
};

const settingOf = async (server: Server) => {
  const reply = (await server.command("CONFIG", "GET", "notify-keyspace-events")) as string[];
  return reply[1] as string;
};

/** Whether every event still comes. */
async function hears(server: Server, log: string[], sid: string): Promise<void> {
  await until(async () => {
    await server.command("SET", `sess:${sid}`, "{}", "PX", "60000").catch(() => {});
    return log.some((line) => line.endsWith(` ${sid}`));
  });
}

describe("the setting of the server", () => {
  test("is added to, and nothing is taken away", async () => {
    const server = await start();
    await server.command("CONFIG", "SET", "notify-keyspace-events", "Elz");
    const store = new RedisStore({ client: await clients.redis(server.port) });
    await store.watch();
    const setting = await settingOf(server);
    for (const letter of "EKlzg$xen") expect(setting).toContain(letter);
    for (const letter of "shtdm") expect(setting).not.toContain(letter);
    store.close();
  });

  test("is left alone where it is there", async () => {
    const server = await start();
    await server.command("CONFIG", "SET", "notify-keyspace-events", "KEg$zxen");
    await server.command("CONFIG", "RESETSTAT");
    const store = new RedisStore({ client: await clients.redis(server.port) });
    await store.watch();
    expect(String(await server.command("INFO", "commandstats"))).not.toContain("config|set");
    store.close();
  });

  test.each([
    ["nothing of CONFIG", "-config", 'to "Kg$xen"'],
    ["only reading", "-config +config|get", 'which is now "lK", to "lKg$xen"'],
  ])(
    "a user who may do %s is told exactly what an administrator must set",
    async (_, rule, text) => {
      const server = await start();
      await server.command("CONFIG", "SET", "notify-keyspace-events", "Kl");
      await server.command(
        "ACL",
        "SETUSER",
        "app",
        "on",
        ">secret",
        "~*",
        "&*",
        "+@all",
        ...rule.split(" "),
      );
      const client = await connect(server.port, { username: "app", password: "secret" });
      const store = new RedisStore({ client });
      const error = await refusal(store.watch());
      expect(error).toMatchObject({ name: "StoreError", code: "ERR_NO_PERMISSION" });
      expect(error.message).toContain(text);
      expect(error.message).toContain(`127.0.0.1:${server.port}`);
      // Where the administrator has done it, it works.
      await server.command("CONFIG", "SET", "notify-keyspace-events", "Kg$xen");
      const log = listen(await store.watch());
      await store.set("a", sessionOf());
      await until(() => log.length > 0);
      expect(log).toEqual(["created a"]);
      expect(await store.ids()).toEqual(["a"]);
      expect(await server.command("KEYS", "*")).toEqual(["sess:a"]);
      store.close();
    },
  );

  test("on a server older than Redis 7 new keys are left out", async () => {
    let setting = "E";
    const sent: string[] = [];
    await enableEvents(
      {
        address: "old",
        subscribe: () => Promise.reject(new Error("not needed")),
        async send([, verb, , value = ""]) {
          sent.push(`${String(verb)} ${String(value)}`);
          if (verb === "GET") return new Map([["notify-keyspace-events", setting]]);
          if (String(value).includes("n")) {
            throw fromClient(new Error("ERR Invalid argument"), "CONFIG", "old");
          }
          setting = String(value);
          return "OK";
        },
      },
      "sess:",
    );
    expect(sent).toEqual(["GET ", "SET EKg$xen", "SET EKg$xe"]);
    expect(setting).toBe("EKg$xe");
  });

  test("letters that are contained in A count", () => {
    expect(lacking("", "Kg$xen")).toBe("Kg$xen");
    expect(lacking("KA", "Kg$xen")).toBe("n");
    expect(lacking("AE", "Kgx")).toBe("K");
  });
});

describe.each(Object.entries(clients))("the connection of %s", (_, open) => {
  let server: Server;
  let store: RedisStore;
  let events: SessionEvents;
  let log: string[];
  let gaps: number;
  beforeEach(async () => {
    server = await start();
    store = new RedisStore({ client: await open(server.port), timeout: 500 });
    events = await store.watch();
    log = listen(events);
    gaps = 0;
    events.on("gap", () => gaps++);
  });
  afterEach(() => store.close());

  const listeners = async () =>
    String(await server.command("CLIENT", "LIST", "TYPE", "pubsub"))
      .trim()
      .split("\n")
      .filter(Boolean).length;

  test("comes back after it was lost, and says that there was a gap", async () => {
    expect(await listeners()).toBe(1);
    await server.command("CLIENT", "KILL", "TYPE", "pubsub");
    await until(() => gaps === 1);
    await hears(server, log, "again");
    expect(log[0]).toBe("created again");
    expect(await listeners()).toBe(1);
  });

  test("comes back to a server that was started anew and has lost its setting", async () => {
    const { port } = server;
    await server.stop();
    const second = await startServer({ port });
    closings.push(() => second.stop());
    expect(await settingOf(second)).toBe("");
    await until(() => gaps === 1);
    await hears(second, log, "again");
  });

  test("ends with the store, or by itself", async () => {
    const second = await store.watch();
    expect(await listeners()).toBe(1);
    events.close();
    second.on("created", (sid) => log.push(`second ${sid}`));
    await store.set("a", sessionOf());
    await until(() => log.length > 0);
    expect(log).toEqual(["second a"]);
    store.close();
    await until(async () => (await listeners()) === 0);
    expect(await store.get("a")).not.toBeNull();
  });

  test("a server that does not answer is an error in time", async () => {
    server.kill("SIGSTOP");
    try {
      const error = await refusal(store.watch());
      expect(["ERR_TIMEOUT", "ERR_UNAVAILABLE"]).toContain(error.code);
    } finally {
      server.kill("SIGCONT");
    }
  });

  test("a connection that is dead without a sign is replaced", async () => {
    // Nothing of what this client is sent gets out any more, and nothing tells it.
    const id = /^id=(\d+)/.exec(
      String(await server.command("CLIENT", "LIST", "TYPE", "pubsub")),
    )?.[1];
    expect(id).toBeDefined();
    server.kill("SIGSTOP");
    await new Promise((resolve) => setTimeout(resolve, 2500));
    server.kill("SIGCONT");
    await until(() => gaps === 1);
    await hears(server, log, "again");
  });

  test("failures to come back are told to who listens", async () => {
    const errors: unknown[] = [];
    events.on("error", (error) => errors.push(error));
    await server.stop();
    await until(() => errors.length > 0);
    expect(errors[0]).toMatchObject({ name: "StoreError" });
  });
});

describe("events", () => {
  test("a write whose announcements come in pieces is one event", async () => {
    const server = await start();
    const proxy = await startProxy(server.port);
    const store = new RedisStore({ client: await clients.redis(proxy.port) });
    const log = listen(await store.watch());
    const direct = new RedisStore({ client: await clients.redis(server.port) });
    proxy.drip();
    const sids = Array.from({ length: 20 }, (_, index) => `s${index}`);
    for (const sid of sids) {
      await direct.set(sid, sessionOf());
      await until(() => log.includes(`created ${sid}`));
    }
    await direct.destroy("s0");
    await until(() => log.includes("destroyed s0"));
    expect(log).toEqual([...sids.map((sid) => `created ${sid}`), "destroyed s0"]);
    store.close();
    await proxy.stop();
  });

  test("all event sources of a store share one connection; it ends with the last", async () => {
    const server = await start();
    const proxy = await startProxy(server.port);
    const store = new RedisStore({ client: await clients.redis(proxy.port) });
    const before = proxy.links;
    const [first, second] = await Promise.all([store.watch(), store.watch()]);
    const third = await store.watch();
    expect(proxy.links).toBe(before + 1);
    const logs = [first, second, third].map(listen);
    first.close();
    await store.set("a", sessionOf());
    await until(() => logs[1]?.length === 1 && logs[2]?.length === 1);
    expect(logs).toEqual([[], ["created a"], ["created a"]]);
    second.close();
    third.close();
    await until(() => proxy.links === before);
    // And a later one begins anew.
    const log = listen(await store.watch());
    await store.set("b", sessionOf());
    await until(() => log.length > 0);
    expect(log).toEqual(["created b"]);
    store.close();
    await until(() => proxy.links === before);
    await proxy.stop();
  });

  test("an eviction destroys a session", async () => {
    const server = await start();
    const store = new RedisStore({ client: await clients.redis(server.port) });
    const log = listen(await store.watch());
    await store.set("a", sessionOf());
    await server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru");
    await server.command("CONFIG", "SET", "maxmemory", "1");
    await server.command("SET", "x", "1").catch(() => {});
    await until(() => log.length > 1);
    expect(log).toEqual(["created a", "destroyed a"]);
    store.close();
  });

  test("only those of the client's own database are told", async () => {
    const server = await start();
    const store = new RedisStore({ client: await connect(server.port, { database: 3 }) });
    const log = listen(await store.watch());
    await new RedisStore({ client: await clients.redis(server.port) }).set("other", sessionOf());
    await store.set("own", sessionOf());
    await until(() => log.length > 0);
    expect(log).toEqual(["created own"]);
    store.close();
  });

  test("a server that does not announce new keys has them updated", () => {
    const log: string[] = [];
    const reader = new KeyspaceReader(
      (event, sid) => log.push(`${event} ${sid}`),
      () => new Promise(() => {}),
    );
    for (const [sid, event] of [
      ["a", "set"],
      ["a", "expire"],
      ["a", "expire"],
      ["a", "set"],
      ["b", "expire"],
      ["a", "expire"],
      ["a", "zadd"],
      ["a", "rename_from"],
      ["b", "rename_to"],
      ["b", "evicted"],
    ] as const) {
      reader.read(sid, event);
    }
    expect(log).toEqual([
      "updated a",
      "touched a",
      "updated a",
      "touched b",
      "touched a",
      "destroyed a",
      "updated b",
      "destroyed b",
    ]);
  });

  test("valkey-glide cannot listen, and says what can", async () => {
    const server = await start();
    const client = await GlideClient.createClient({
      addresses: [{ host: "127.0.0.1", port: server.port }],
    });
    closings.push(() => client.close());
    const store = new RedisStore({ client });
    const error = await refusal(store.watch());
    expect(error).toMatchObject({ code: "ERR_INVALID_OPTION" });
    expect(error.message).toContain("ioredis");
  });

  test("watch() calls back", async () => {
    const server = await start();
    const store = new RedisStore({ client: await clients.redis(server.port) });
    const events = await new Promise<SessionEvents | undefined>((resolve) =>
      store.watch((_error, result) => resolve(result)),
    );
    const log = listen(events as SessionEvents);
    await store.set("a", sessionOf());
    await until(() => log.length > 0);
    store.close();
  });
});
