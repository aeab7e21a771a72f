import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sign } from "cookie-signature";
import type { SessionData } from "express-session";
import supertest from "supertest";
import { RedisStore } from "../../lib/index.js";
import { type RedisServer, startRedis } from "../../tools/redis-server.js";
import { loopTime } from "../support/loop-time.js";
import {
  type AppSession,
  connect,
  freshPrefix,
  makeApp,
  makeStore,
  newClient,
  rawOf,
  refusal,
  sessionOf,
  type TestClient,
  until,
  versions,
  visit,
} from "../support/store.js";

/** The code of what fails while there is no answer: at first only waiting tells. */
const outage = expect.stringMatching(/^ERR_(UNAVAILABLE|TIMEOUT)$/) as string;

/** Every operation of a store, each on its own. */
const operations: [string, (store: RedisStore) => Promise<unknown>][] = [
  ["get", (store) => store.get("sid")],
  ["set", (store) => store.set("sid", sessionOf())],
  ["touch", (store) => store.touch("sid", sessionOf())],
  ["destroy", (store) => store.destroy("ended")],
  ["all", (store) => store.all()],
  ["length", (store) => store.length()],
  ["ids", (store) => store.ids()],
  ["clear", (store) => store.clear()],
  ["sessions", (store) => store.sessions().next()],
];

describe.each(versions)("a client of redis %i that was never connected", (version) => {
  let client: TestClient;
  let close: () => void;
  beforeEach(() => {
    ({ client, close } = newClient(version));
  });
  afterEach(() => close());

  test("fails in time and names connect(), at first and later", async () => {
    const store = makeStore(client, { timeout: 60 });
    for (let round = 0; round < 2; round++) {
      const errors = operations.map(([, operation]) => refusal(operation(store)));
      for (const error of await Promise.all(errors)) {
        expect(error).toMatchObject({ name: "StoreError", code: "ERR_UNAVAILABLE" });
        expect(error.message).toContain("connect()");
      }
    }
  });

  test("serves what is waiting as soon as it is connected", async () => {
    const store = makeStore(client);
    const waiting = Promise.all([
      store.set("sid", sessionOf({ a: 1 })),
      store.get("none"),
      store.length(),
      store.touch("none", sessionOf()),
    ]);
    await client.connect();
    expect(await waiting).toEqual(["OK", null, expect.any(Number), "EXPIRED"]);
    expect(await store.get("sid")).toEqual(sessionOf({ a: 1 }));
    await store.clear();
  });

  test("does nothing later of what has failed", async () => {
    const store = makeStore(client, { timeout: 60 });
    await refusal(store.set("sid", sessionOf()));
    await client.connect();
    await until(async () => (await store.get("sid").catch(() => undefined)) === null);
  });

  test("fails again once it is closed", async () => {
    await client.connect();
    const store = makeStore(client, { timeout: 100 });
    await store.set("sid", sessionOf());
    close();
    const error = await refusal(store.get("sid"));
    expect(error.code).toBe("ERR_UNAVAILABLE");
  });
});

describe("a server that stops answering", () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedis();
  });
  afterEach(() => {
    server.kill("SIGCONT");
  });
  afterAll(() => server.stop());

  test("is an error of every operation in time, and works again when it goes on", async () => {
    const store = makeStore(await connect(6, server.url), { timeout: 200 });
    // Another session than that of the operations: in the millisecond of a set a touch sends nothing.
    await store.set("loaded", sessionOf({ a: 1 }));
    const loaded = (await store.get("loaded")) as AppSession;
    server.kill("SIGSTOP");
    const all = operations.map(async ([, operation]) => refusal(operation(store)));
    loaded.a = 2;
    all.push(refusal(store.set("loaded", loaded)));
    const [first, ...others] = await Promise.all(all);
    expect(first).toMatchObject({ name: "StoreError", code: "ERR_TIMEOUT" });
    expect(first?.message).toContain("200 ms");
    for (const { name, code } of others) expect([name, code]).toEqual(["StoreError", outage]);
    server.kill("SIGCONT");
    await until(async () => (await store.get("loaded").catch(() => null)) !== null);
    await store.set("again", sessionOf());
    expect(await store.get("again")).toEqual(sessionOf());
  });

  test("keeps no save waiting for those before it", async () => {
    const timeout = 200;
    const store = makeStore(await connect(6, server.url), { timeout });
    await store.set("sid", sessionOf());
    server.kill("SIGSTOP");
    const start = loopTime();
    const saves = Array.from({ length: 15 }, () => refusal(store.set("sid", sessionOf())));
    saves.push(refusal(store.destroy("sid")));
    for (const error of await Promise.all(saves)) expect(error.code).toMatch(/^ERR_/);
    // One after the other they would take 16 times the timeout.
    expect(loopTime() - start).toBeLessThan(8 * timeout);
  });

  test("is an error of the request and no new session", async () => {
    const store = makeStore(await connect(6, server.url), { timeout: 200 });
    const app = makeApp(store, { "/visit": visit });
    const first = await supertest(app).get("/visit");
    const cookie = first.headers["set-cookie"]?.[0] ?? "";
    server.kill("SIGSTOP");
    const answer = await supertest(app).get("/visit").set("Cookie", cookie);
    expect([answer.status, answer.text]).toEqual([500, "ERR_TIMEOUT"]);
    expect(answer.headers["set-cookie"]).toBeUndefined();
    server.kill("SIGCONT");
    await until(async () => {
      const { text } = await supertest(app).get("/visit").set("Cookie", cookie);
      expect(text).toMatch(/^(2|ERR_TIMEOUT|ERR_UNAVAILABLE)$/);
      return text === "2";
    });
  });
});

test.each(versions)("a server that dies and comes back, with redis %i", async (version) => {
  const first = await startRedis();
  const store = makeStore(await connect(version, first.url), { timeout: 300 });
  await store.set("sid", sessionOf());
  first.kill();
  await first.stop();
  const errors = operations.map(([, operation]) => refusal(operation(store)));
  for (const { name, code } of await Promise.all(errors)) {
    expect([name, code]).toEqual(["StoreError", outage]);
  }
  const second = await startRedis({ port: first.port });
  await until(async () => (await store.set("sid", sessionOf({ a: 1 })).catch(() => "")) === "OK");
  expect(await store.get("sid")).toEqual(sessionOf({ a: 1 }));
  await second.stop();
});

describe("a server that refuses", () => {
  const servers: RedisServer[] = [];
  async function start(...args: string[]): Promise<RedisServer> {
    const server = await startRedis({ args });
    servers.push(server);
    return server;
  }
  afterAll(() => Promise.all(servers.map((server) => server.stop())));

  test("the user: ERR_NO_PERMISSION", async () => {
    const server = await start();
    const raw = rawOf(await connect(6, server.url));
    await raw.send("ACL", "SETUSER", "reader", "on", ">pw", "~sess:*", "+@read", "-@dangerous");
    const url = server.url.replace("//", "//reader:pw@");
    const store = new RedisStore({ client: await connect(6, url) });
    expect(await store.get("sid")).toBeNull();
    for (const operation of [
      store.set("sid", sessionOf()),
      store.destroy("sid"),
      store.touch("sid", sessionOf()),
    ]) {
      const error = await refusal(operation);
      expect(error.code).toBe("ERR_NO_PERMISSION");
      expect(error.cause).toHaveProperty("message", expect.stringContaining("NOPERM"));
    }
    const other = makeStore(store.client);
    expect((await refusal(other.get("sid"))).code).toBe("ERR_NO_PERMISSION");
  });

  test("one that is not logged in: ERR_NO_PERMISSION", async () => {
    const { url } = await start("--requirepass", "secret");
    const client = await connect(6, url.replace("//", "//:secret@"));
    const store = makeStore(client);
    await store.set("sid", sessionOf());
    await client.sendCommand(["RESET"]);
    expect((await refusal(store.get("sid"))).code).toBe("ERR_NO_PERMISSION");
  });

  test("writes on a replica: ERR_READONLY", async () => {
    const primary = await start("--repl-diskless-sync-delay", "0");
    const replica = await start("--replicaof", "127.0.0.1", String(primary.port));
    const onPrimary = makeStore(await connect(6, primary.url));
    await onPrimary.set("sid", sessionOf());
    const raw = rawOf(await connect(6, replica.url));
    await until(async () => raw.exists(`${onPrimary.prefix}sid`));
    const store = makeStore(await connect(6, replica.url), { prefix: onPrimary.prefix });
    const loaded = (await store.get("sid")) as AppSession;
    loaded.a = 1;
    for (const operation of [
      store.set("sid", sessionOf()),
      store.set("sid", loaded),
      store.touch("sid", sessionOf()),
      store.destroy("sid"),
      store.clear(),
    ]) {
      expect((await refusal(operation)).code).toBe("ERR_READONLY");
    }
    expect(await onPrimary.get("sid")).toEqual(sessionOf());
  });

  test("writes without memory: ERR_OUT_OF_MEMORY, and reads and logouts go on", async () => {
    const { url } = await start("--maxmemory", "4mb", "--maxmemory-policy", "noeviction");
    const client = await connect(6, url);
    const raw = rawOf(client);
    const store = makeStore(client);
    await store.set("sid", sessionOf());
    const loaded = (await store.get("sid")) as AppSession;
    const more = "x".repeat(500_000);
    let full = false;
    for (let n = 0; !full; n++)
      full = await raw.set(`fill${n}`, more).then(
        () => false,
        () => true,
      );
    await raw.send("CONFIG", "SET", "maxmemory", "1mb");
    loaded.a = more;
    for (const [sid, session] of [
      ["sid", loaded],
      ["new", sessionOf()],
    ] as const) {
      const { code, message } = await refusal(store.set(sid, session));
      expect(`${code}: ${message}`).toMatch(/^ERR_OUT_OF_MEMORY: .*OOM/);
    }
    expect(await store.get("sid")).toEqual(sessionOf());
    expect(await store.destroy("sid")).toBe(1);
  });

  test("everything while a script runs: ERR_UNAVAILABLE", async () => {
    const { url } = await start("--lua-time-limit", "20");
    const store = makeStore(await connect(6, url), { timeout: 5000 });
    const busy = rawOf(await connect(6, url)).send("EVAL", "while true do end", "0");
    const killed = expect(busy).rejects.toThrow(/killed/i);
    const error = await refusal(store.get("sid"));
    expect(error.code).toBe("ERR_UNAVAILABLE");
    expect(error.message).toContain("BUSY");
    await rawOf(await connect(6, url)).send("SCRIPT", "KILL");
    await killed;
    expect(await store.get("sid")).toBeNull();
  });

  test("a command that it does not know: ERR_REDIS", async () => {
    const { url } = await start("--rename-command", "GET", "ELSEWHERE");
    const error = await refusal(makeStore(await connect(6, url)).get("sid"));
    expect(error.code).toBe("ERR_REDIS");
    expect(error.message).toContain("GET");
    expect(error.cause).toHaveProperty("message");
  });
});

test("a server that has forgotten its scripts is told them again", async () => {
  const client = await connect();
  const store = makeStore(client);
  await store.set("sid", sessionOf());
  const loaded = (await store.get("sid")) as AppSession;
  for (let n = 0; n < 3; n++) {
    await client.sendCommand(["SCRIPT", "FLUSH"]);
    loaded.n = n;
    expect(await store.set("sid", loaded)).toBe("OK");
    await client.sendCommand(["SCRIPT", "FLUSH"]);
    await client.sendCommand(["PEXPIRE", `${store.prefix}sid`, "1000"]);
    expect(await store.touch("sid", loaded as SessionData)).toBe("OK");
  }
  expect(await store.get("sid")).toEqual(sessionOf({ n: 2 }));
});

describe.each(versions)("a unix socket that is not there, with redis %i", (version) => {
  let close = () => {};
  afterEach(() => close());

  test("is an outage and never a missing session", async () => {
    const dir = await mkdtemp(join(tmpdir(), "redis-session-store-"));
    const path = join(dir, "redis.sock");
    const { client, ...own } = newClient(version, { path });
    close = own.close;
    client.connect().catch(() => {});
    const store = new RedisStore({ client, prefix: freshPrefix(), timeout: 150 });
    const errors = operations.map(([, operation]) => refusal(operation(store)));
    for (const { code } of await Promise.all(errors)) expect(code).toEqual(outage);
    const app = makeApp(store, { "/visit": visit });
    const cookie = `connect.sid=${encodeURIComponent(`s:${sign("abc", "test")}`)}`;
    const before = await supertest(app).get("/visit").set("Cookie", cookie);
    expect(before.status).toBe(500);
    expect(before.headers["set-cookie"]).toBeUndefined();

    // When the server comes, the store works, and its sessions are not lost in the next outage.
    const server = await startRedis({ args: ["--unixsocket", path] });
    await until(async () => (await store.length().catch(() => -1)) === 0);
    await store.set("abc", sessionOf({ visits: 6 }));
    expect((await supertest(app).get("/visit").set("Cookie", cookie)).text).toBe("7");
    await server.stop();
    const during = await supertest(app).get("/visit").set("Cookie", cookie);
    expect(during.status).toBe(500);
    expect(during.text).toMatch(/^ERR_(UNAVAILABLE|TIMEOUT)$/);
    expect(during.headers["set-cookie"]).toBeUndefined();
    await rm(dir, { recursive: true, force: true });
  });
});
