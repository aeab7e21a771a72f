import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RedisStore } from "../../lib/index.js";
import { type RedisServer, startRedis } from "../../tools/redis-server.js";
import { type Address, type Opened, plain } from "../conformance/clients.js";
import { expectAccounted, startLoad } from "../support/load.js";
import { record } from "../support/recording.js";
import {
  connect,
  makeStore,
  refusal,
  sessionOf,
  type TestClient,
  until,
} from "../support/store.js";

// The server answers, and the answer is no; the app is under load.

const timeout = 600;
/** Where nothing that is refused is an outage: longer than a busy machine stands still. */
const patience = 5000;
/** A request reads and writes, each within `timeout`; the rest is for a machine that is busy. */
const bound = 2 * timeout + 2000;

/** Replicas get their data at once. */
const quick = ["--repl-diskless-sync-delay", "0"];

let server: RedisServer;
let direct: TestClient;
beforeEach(async () => {
  server = await startRedis({ args: quick });
  direct = await connect(6, server.url);
});
afterEach(() => server.stop());

const send = (...command: string[]) => direct.sendCommand(command);

const ways = plain.filter(({ name }) => ["redis 6", "ioredis 6", "valkey-glide"].includes(name));
describe.each(ways)("$name", ({ name, open }) => {
  let opened: Opened | undefined;
  let store: RedisStore | undefined;
  let down: number;
  const openStore = async (address: Address = { port: server.port }, options = { timeout }) => {
    opened = await open(address);
    const own = makeStore(opened.client, options);
    store = own;
    down = 0;
    own.on("down", () => {
      down++;
    });
    return own;
  };
  afterEach(async () => {
    // It would find that its client has no connection any more, and tell the test that follows.
    store?.close();
    await opened?.close();
    opened = undefined;
  });

  test("maxmemory with noeviction: changes fail and nobody is logged out; reads and logouts go on", async () => {
    const store = await openStore(undefined, { timeout: patience });
    await store.set("reader", sessionOf({ a: 1 }));
    const load = await startLoad(store);
    await load.answers(20);
    await send("CONFIG", "SET", "maxmemory", "1");
    await load.failures("ERR_OUT_OF_MEMORY", 30);
    expect(await store.get("reader")).toEqual(sessionOf({ a: 1 }));
    expect(await store.destroy("reader")).toBe(1);
    await send("CONFIG", "SET", "maxmemory", "0");
    await load.answers(30);
    const report = await load.stop();
    expectAccounted(report, "ERR_OUT_OF_MEMORY");
    expect(await load.lost(store)).toEqual([]);
    expect(down).toBe(0);
  });

  test("a read-only replica as target: changes fail until it is the primary; reads go on", async () => {
    const args = [...quick, "--replicaof", "127.0.0.1", String(server.port)];
    const second = await startRedis({ args });
    const other = await connect(6, second.url);
    try {
      const store = await openStore();
      await store.set("reader", sessionOf({ a: 1 }));
      const load = await startLoad(store);
      await load.answers(20);
      // The two change their places, without losing anything: first there, then back.
      const change = async (from: TestClient, to: RedisServer) => {
        const begins = () =>
          from.sendCommand(["FAILOVER", "TO", "127.0.0.1", String(to.port)]).then(
            () => true,
            () => false,
          );
        await until(begins);
      };
      await change(direct, second);
      await load.failures("ERR_READONLY", 30);
      // It may still take the data of the new primary.
      const advice = "connect to the primary";
      await until(async () => (await refusal(store.destroy("reader"))).message.includes(advice));
      await until(async () => (await store.get("reader").catch(() => null)) !== null);
      await change(other, server);
      await load.answers(30);
      const report = await load.stop();
      // Changing places takes a moment, in which nothing is answered.
      expectAccounted(report, "ERR_READONLY", "ERR_UNAVAILABLE", "ERR_TIMEOUT");
      expect(report.slowest).toBeLessThan(bound);
      expect(await load.lost(store)).toEqual([]);
    } finally {
      await second.stop();
    }
  });

  test("an ACL that forbids a needed command: the error names the command", async () => {
    await send("ACL", "SETUSER", "app", "on", ">secret", "~test:*", "+@all");
    const app = { port: server.port, username: "app", password: "secret" };
    const store = await openStore(app, { timeout: patience });
    const load = await startLoad(store);
    await load.answers(20);
    await send("ACL", "SETUSER", "app", "-evalsha");
    await load.failures("ERR_NO_PERMISSION", 20);
    const session = await store.get("none");
    expect(session).toBeNull();
    for (const [command, work] of [
      ["GET", () => store.get("sid")],
      ["SET", () => store.set("sid", sessionOf())],
      ["DEL", () => store.destroy("sid")],
      ["PEXPIRE", () => store.touch("sid", sessionOf())],
      ["SCAN", () => store.ids()],
    ] as const) {
      await send("ACL", "SETUSER", "app", `-${command.toLowerCase()}`);
      const error = await refusal(work());
      expect(error.code).toBe("ERR_NO_PERMISSION");
      expect(error.message).toMatch(new RegExp(`^${command} was refused: NOPERM`));
    }
    await send("ACL", "SETUSER", "app", "+@all");
    await load.answers(30);
    const report = await load.stop();
    expectAccounted(report, "ERR_NO_PERMISSION");
    expect(await load.lost(store)).toEqual([]);
    expect(down).toBe(0);
  });

  test("a password that is wrong from now on: when the connections break it is named, and an outage", async () => {
    await send("CONFIG", "SET", "requirepass", "right");
    await send("AUTH", "right");
    const store = await openStore({ port: server.port, username: "default", password: "right" });
    const load = await startLoad(store);
    await load.answers(20);
    await send("CONFIG", "SET", "requirepass", "other");
    await send("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    // valkey-glide tells nobody why it has no connection.
    const code = name === "valkey-glide" ? "ERR_UNAVAILABLE" : "ERR_NO_PERMISSION";
    await load.failures(code, 20);
    const error = await refusal(store.get("sid"));
    if (name !== "valkey-glide") expect(error.message).toContain("WRONGPASS");
    await send("CONFIG", "SET", "requirepass", "right");
    await load.answers(30);
    const report = await load.stop();
    expectAccounted(report, "ERR_NO_PERMISSION", "ERR_UNAVAILABLE", "ERR_TIMEOUT");
    expect(report.slowest).toBeLessThan(bound);
    expect(await load.lost(store)).toEqual([]);
  });

  test("a server that loads its data: ERR_UNAVAILABLE until it has", async () => {
    const dir = await mkdtemp(join(tmpdir(), "redis-session-store-loading-"));
    // The answer comes after the write to the file; only a machine that dies would need more.
    const args = ["--appendonly", "yes", "--appendfsync", "no"];
    let loading = await startRedis({ dir, args });
    try {
      const filler = await connect(6, loading.url);
      const fill = (_: unknown, n: number) => filler.sendCommand(["SET", `filler${n}`, "x"]);
      await Promise.all(Array.from({ length: 800 }, fill));
      const store = await openStore({ port: loading.port });
      const load = await startLoad(store);
      await load.answers(20);
      const { port } = loading;
      loading.kill("SIGKILL");
      await loading.stop();
      const slow = ["--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024"];
      const starting = startRedis({ dir, port, args: [...args, ...slow] });
      await load.failures("ERR_UNAVAILABLE", 30);
      loading = await starting;
      await load.answers(30);
      const report = await load.stop();
      expectAccounted(report, "ERR_UNAVAILABLE", "ERR_TIMEOUT");
      expect(report.slowest).toBeLessThan(bound);
      expect(await load.lost(store)).toEqual([]);
    } finally {
      await loading.stop();
      await rm(dir, { recursive: true, force: true });
    }
  });
});

describe("a refusal inside of a script, as Redis 6.2 words it, has the same code as one outside", () => {
  const at = "ERR Error running script (call to f_0123456789abcdef): @user_script:5: ";
  test.each([
    [
      "ERR_OUT_OF_MEMORY",
      "@user_script: 5: -OOM command not allowed when used memory > 'maxmemory'.",
    ],
    ["ERR_READONLY", "@user_script: 5: -READONLY You can't write against a read only replica."],
    ["ERR_CORRUPT_SESSION", "WRONGTYPE Operation against a key holding the wrong kind of value"],
    ["ERR_REDIS", "@user_script: 5: something else"],
  ])("%s", async (code, text) => {
    const { client } = record(direct, ([name], reply) => {
      if (name?.startsWith("EVAL")) throw new Error(at + text);
      return reply;
    });
    const store = makeStore(client, { timeout });
    await store.set("sid", sessionOf());
    const loaded = Object.assign((await store.get("sid")) as object, { a: 1 });
    expect((await refusal(store.set("sid", loaded as never))).code).toBe(code);
  });
});
