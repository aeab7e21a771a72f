import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import session, { type SessionData } from "express-session";
import supertest from "supertest";
import { type LegacyOptions, type LegacyStore, legacyWith } from "../../lib/legacy/legacy.js";
import { type RedisServer, startRedis } from "../../tools/redis-server.js";
import { callbackClient, type OldClient, oldRedis } from "../support/connect-redis.js";
import {
  freshPrefix,
  makeApp,
  rawOf,
  refusal,
  sessionOf,
  type TestClient,
  until,
  url,
  visit,
} from "../support/store.js";
import { startTls, type TlsServer } from "../support/tls.js";

const RedisStore = legacyWith(require)(session);

const PINNED = new Error("not the certificate that was pinned");

const stores: LegacyStore[] = [];
const servers: RedisServer[] = [];
afterEach(async () => {
  for (const store of stores.splice(0)) await store.close();
  for (const server of servers.splice(0)) await server.stop();
});

function make(options: LegacyOptions): LegacyStore {
  const store = new RedisStore({ prefix: freshPrefix(), ...options });
  stores.push(store);
  return store;
}

async function server(...args: Parameters<typeof startRedis>): Promise<RedisServer> {
  const started = await startRedis(...args);
  servers.push(started);
  return started;
}

/** What the server says of the connection that the store made. */
async function connection(store: LegacyStore): Promise<string> {
  return rawOf(store.client as TestClient).send<string>("CLIENT", "INFO");
}

async function works(store: LegacyStore): Promise<void> {
  await store.set("a", sessionOf({ n: 1 }));
  expect(await store.get("a")).toEqual(sessionOf({ n: 1 }));
}

describe("a client of its own", () => {
  let secured: RedisServer;
  let directory: string;
  let path: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "redis-session-store-legacy-"));
    path = join(directory, "redis.sock");
    secured = await startRedis({ args: ["--requirepass", "p@ss/word", "--unixsocket", path] });
  });
  afterAll(async () => {
    await secured.stop();
    await rm(directory, { recursive: true });
  });

  const { hostname, port } = new URL(url || "redis://127.0.0.1:6379");
  const pass = "p@ss/word";
  const quoted = encodeURIComponent(pass);
  test.each<[string, () => LegacyOptions, string]>([
    ["host and port", () => ({ host: hostname, port: Number(port) }), "db=0"],
    ["port as text, and no host", () => ({ port }), "db=0"],
    ["db", () => ({ url, db: 3 }), "db=3"],
    ["db as text", () => ({ url, db: "4" }), "db=4"],
    ["db in the url", () => ({ url: `${url}/5` }), "db=5"],
    ["db as a parameter of the url", () => ({ url: `${url}?db=6` }), "db=6"],
    ["a url without a protocol", () => ({ url: url.replace("redis:", "") }), "db=0"],
    ["a url as socket", () => ({ socket: url }), "db=0"],
    ["socket, a path", () => ({ socket: path, pass }), "flags=U"],
    ["a path as url", () => ({ url: path, pass }), "flags=U"],
    ["a path as path", () => ({ path, pass }), "flags=U"],
    ["a path behind unix://", () => ({ url: `unix://${path}`, pass }), "flags=U"],
    [
      "socket of the new client",
      () => ({ socket: { host: hostname, port: Number(port) } }),
      "db=0",
    ],
    ["pass", () => ({ port: secured.port, pass }), "db=0"],
    ["password, by another old name", () => ({ port: secured.port, auth_pass: pass }), "db=0"],
    [
      "the password in a url",
      () => ({ url: `redis://:${quoted}@127.0.0.1:${secured.port}` }),
      "user=default",
    ],
    [
      "a url with a user name that means nothing, as hosting companies wrote it",
      () => ({ url: `redis://h:${quoted}@127.0.0.1:${secured.port}/2` }),
      "user=default",
    ],
    [
      "username, an option of the new client",
      () => ({ port: secured.port, username: "default", pass }),
      "user=default",
    ],
    ["what else the client takes", () => ({ url, name: "tutorial" }), "name=tutorial"],
  ])("is made from %s", async (_, options, told) => {
    const store = make(options());
    await works(store);
    expect(await connection(store)).toContain(told);
  });

  describe("over TLS, by a url that begins with rediss:", () => {
    let tls: TlsServer;
    beforeAll(async () => {
      tls = await startTls(Number(port));
    });
    afterAll(() => tls.close());

    test("trusts the certificate that the app gives in tls", async () => {
      await works(make({ url: `rediss://127.0.0.1:${tls.port}`, tls: { ca: tls.ca } }));
      expect(tls.connections()).toBeGreaterThan(0);
    });

    test.each<[string, () => object]>([
      ["pins another certificate", () => ({ ca: tls.ca, checkServerIdentity: () => PINNED })],
      ["trusts other authorities", () => ({ ca: [] })],
    ])("is not made where the app %s", async (_, checks) => {
      const store = make({
        url: `rediss://127.0.0.1:${tls.port}`,
        tls: checks(),
        timeout: 200,
      });
      expect(await refusal(store.get("a"))).toMatchObject({ code: "ERR_UNAVAILABLE" });
    });
  });

  test("does not keep the process from ending with unref", async () => {
    const unref = jest.fn();
    const Watched = legacyWith((name) => {
      const { createClient, ...rest } = require(name) as typeof import("redis");
      const watched = (options: object) => {
        const client = createClient(options);
        return Object.assign(client, { unref });
      };
      return { ...rest, createClient: watched };
    })(session);
    for (const option of [true, false]) {
      const store = new Watched({ url, unref: option, prefix: freshPrefix() });
      stores.push(store);
      await works(store);
      expect(unref).toHaveBeenCalledTimes(1);
    }
  });

  test("asks the app's retry_strategy when to connect again", async () => {
    const attempts: number[] = [];
    const store = make({
      port: 1,
      retry_strategy: (state: { attempt: number; error: Error }) => {
        attempts.push(state.attempt);
        return state.attempt < 3 ? 1 : new Error("enough");
      },
    });
    await until(() => attempts.length === 3);
    await until(() => !(store.client as TestClient).isOpen);
    expect(attempts).toEqual([1, 2, 3]);
  });

  test.each<[string, LegacyOptions, RegExp]>([
    ["a port", { port: "many" }, /"port" must be a whole number/],
    ["a database", { db: "sessions" }, /"db" must be a whole number/],
    ["a url", { url: "redis://:secret@a b" }, /"url" is not a url/],
    ["a protocol", { url: "http://:secret@localhost" }, /"url" must begin with redis:/],
  ])("is not made from %s that is wrong, and no password is told", (_, options, message) => {
    let thrown: unknown;
    try {
      make(options);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: "ERR_INVALID_OPTION" });
    expect(String(thrown)).toMatch(message);
    expect(require("node:util").inspect(thrown)).not.toContain("secret");
  });

  test("is refused with a sentence where the package redis is missing or too old", () => {
    const missing = () => {
      throw Object.assign(new Error("Cannot find module"), { code: "MODULE_NOT_FOUND" });
    };
    const Missing = legacyWith(missing)(session);
    expect(() => new Missing()).toThrow(/not installed: npm install redis/);
    const Old = legacyWith(() => require("redis3"))(session);
    expect(() => new Old()).toThrow(/older: npm install redis/);
    const Broken = legacyWith(() => {
      throw new SyntaxError("in redis");
    })(session);
    expect(() => new Broken()).toThrow(SyntaxError);
  });

  test("ends with close(), once and for all, connected or not", async () => {
    const store = make({ url });
    await works(store);
    await store.close();
    expect((store.client as TestClient).isOpen).toBe(false);
    await store.close();
    const never = make({ port: 1 });
    await new Promise<void>((resolve, reject) => {
      never.close((error) => (error ? reject(error) : resolve()));
    });
    expect((never.client as TestClient).isOpen).toBe(false);
  });
});

describe("events and errors", () => {
  test("the store tells when the connection is lost and when it is back, and the app works on", async () => {
    const first = await server();
    const store = make({ port: first.port, logErrors: false });
    const told: string[] = [];
    store.on("connect", () => told.push("connect"));
    store.on("disconnect", (error) => {
      expect(error?.message).toMatch(/closed|ECONN/);
      if (told.at(-1) !== "disconnect") told.push("disconnect");
    });
    const app = makeApp(store, {
      "/visit": (req, res, next) => (req.session ? visit(req, res, next) : res.send("nobody")),
    });
    const agent = supertest.agent(app);
    expect((await agent.get("/visit")).text).toBe("1");
    expect(told).toEqual(["connect"]);
    first.kill();
    await until(() => told.at(-1) === "disconnect");
    // As with versions 1 to 3, express-session serves requests without a session meanwhile.
    expect((await agent.get("/visit")).text).toBe("nobody");
    await first.stop();
    await server({ port: first.port });
    await until(() => told.at(-1) === "connect");
    expect((await agent.get("/visit")).text).toBe("1");
    expect((await agent.get("/visit")).text).toBe("2");
    expect(told).toEqual(["connect", "disconnect", "connect"]);
  });

  test("an error of the client that is no loss of the connection does not turn sessions off", async () => {
    const logged: unknown[] = [];
    const store = make({ url, logErrors: (error) => logged.push(error) });
    await works(store);
    let disconnected = false;
    store.on("disconnect", () => {
      disconnected = true;
    });
    const error = new Error("something else");
    (store.client as unknown as NodeJS.EventEmitter).emit("error", error);
    await until(() => logged.length > 0);
    expect(logged).toEqual([error]);
    expect(disconnected).toBe(false);
  });

  test("logErrors: true writes to the console, and false nothing", async () => {
    const written = jest.spyOn(console, "error").mockImplementation(() => {});
    for (const logErrors of [false, undefined]) {
      const silent = make({ port: 1, ...(logErrors === undefined ? {} : { logErrors }) });
      await new Promise((resolve) => silent.once("disconnect", resolve));
    }
    expect(written).not.toHaveBeenCalled();
    const loud = make({ port: 1, logErrors: true });
    await new Promise((resolve) => loud.once("disconnect", resolve));
    expect(written).toHaveBeenCalledWith(
      expect.stringMatching(
        /^Warning: redis-session-store reported a client error: .*ECONNREFUSED/,
      ),
    );
    written.mockRestore();
  });

  test("a client that was given is not closed, and its errors are logged if that is asked for", async () => {
    const { client, close } = await callbackClient("redis 3");
    const logged: unknown[] = [];
    const told: string[] = [];
    const store = new RedisStore({
      client: client as never,
      prefix: freshPrefix(),
      logErrors: (error) => logged.push(error),
    });
    store.on("disconnect", () => told.push("disconnect"));
    await works(store);
    (client as NodeJS.EventEmitter).emit("error", new Error("lost"));
    await until(() => logged.length > 0);
    expect(logged).toEqual([new Error("lost")]);
    expect(told).toEqual([]);
    await store.close();
    await works(store);
    await close();
  });
});

describe.each(["redis 2", "redis 3", "redis 4 in legacyMode", "ioredis 4"] as const)(
  "the client that apps of their time had: %s",
  (kind) => {
    let client: object;
    let close: () => unknown;
    beforeAll(async () => {
      ({ client, close } = await callbackClient(kind));
    });
    afterAll(async () => {
      await close();
    });

    test("stores, lists, merges and ends sessions", async () => {
      const store = new RedisStore({ client: client as never, prefix: freshPrefix(), ttl: 60 });
      expect(store.client).toBe(client);
      await works(store);
      await store.set("b", sessionOf({ ü: "€" }));
      expect((await store.ids()).sort()).toEqual(["a", "b"]);
      expect(await store.length()).toBe(2);
      expect((await store.all()).map((one) => one.id).sort()).toEqual(["a", "b"]);
      const ends: number[] = [];
      for await (const { expires } of store.sessions()) ends.push(Number(expires) - Date.now());
      expect(ends).toHaveLength(2);
      for (const end of ends) expect(end).toBeGreaterThan(50_000);
      const [one, two] = await Promise.all([store.get("a"), store.get("a")]);
      await store.set("a", Object.assign(one as SessionData, { x: 1 }));
      expect(await store.set("a", Object.assign(two as SessionData, { y: 2 }))).toBe("MERGED");
      expect(await store.get("a")).toEqual(sessionOf({ n: 1, x: 1, y: 2 }));
      expect(await store.touch("a", sessionOf())).toBe("OK");
      expect(await store.touch("c", sessionOf())).toBe("EXPIRED");
      expect(await store.destroy("b")).toBe(1);
      expect(await store.get("b")).toBeUndefined();
      expect(await store.clear()).toBe(1);
    });

    test("an error of the server is a StoreError", async () => {
      const prefix = freshPrefix();
      const store = new RedisStore({ client: client as never, prefix });
      const raw = await callbackClient("redis 3");
      await new Promise((done) => {
        (raw.client as { lpush(key: string, value: string, done: () => void): void }).lpush(
          `${prefix}list`,
          "x",
          () => done(null),
        );
      });
      await raw.close();
      expect(await refusal(store.get("list"))).toMatchObject({ code: "ERR_CORRUPT_SESSION" });
    });
  },
);

describe("clients of redis 2 and 3", () => {
  const ended: OldClient[] = [];
  afterEach(() => {
    for (const client of ended.splice(0)) client.end(false);
  });
  function old(options: object = {}, address = url): OldClient {
    const client = oldRedis(3)(address, options).on("error", () => {});
    ended.push(client);
    return client;
  }

  test("one that answers with bytes is read as text", async () => {
    await works(
      new RedisStore({ client: old({ return_buffers: true }) as never, prefix: freshPrefix() }),
    );
  });

  test.each<[string, object, LegacyOptions, RegExp]>([
    [
      "a prefix of its own",
      { prefix: "app:" },
      {},
      /put its prefix in front of the option "prefix"/,
    ],
    ["numbers as text", { string_numbers: true }, {}, /string_numbers; create it without/],
    [
      "a binary serializer",
      {},
      { serializer: { parse: JSON.parse, stringify: () => Buffer.of(), binary: true } as never },
      /cannot read binary sessions/,
    ],
  ])("one with %s is refused with a sentence", (_, settings, options, message) => {
    expect(() => new RedisStore({ client: old(settings) as never, ...options })).toThrow(message);
  });

  test("what legacy() of redis 5 and 6 returns is refused with a sentence", () => {
    const { createClient } = require("redis") as { createClient: () => { legacy(): object } };
    const client = createClient().legacy();
    expect(() => new RedisStore({ client: client as never })).toThrow(/pass the client itself/);
  });

  test("without a connection an operation ends in time, and never goes out afterwards", async () => {
    const first = await server();
    const client = old({ retry_strategy: () => 20 }, first.url);
    const store = new RedisStore({ client: client as never, timeout: 200, touchAfter: 0 });
    await works(store);
    first.kill();
    await until(() => !client.ready);
    expect(await refusal(store.set("late", sessionOf()))).toMatchObject({
      code: "ERR_UNAVAILABLE",
    });
    await first.stop();
    await server({ port: first.port });
    await until(() =>
      store.ids().then(
        () => true,
        () => false,
      ),
    );
    expect(await store.ids()).toEqual([]);
    await works(store);
  });
});
