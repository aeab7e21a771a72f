import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RedisServer, startRedis } from "../../tools/redis-server.js";
import { type Opened, plain } from "../conformance/clients.js";
import { expectAccounted, startLoad } from "../support/load.js";
import { connect, makeStore, until } from "../support/store.js";

// The server dies, freezes, or comes back with much to load; the app is under load all the while.

const timeout = 400;
/** A request reads and writes, each within `timeout`; the rest is for a machine that is busy. */
const bound = 2 * timeout + 2000;

const ways = plain.filter(({ name }) => ["redis 6", "ioredis 6", "valkey-glide"].includes(name));

describe.each(ways)("$name", ({ open }) => {
  let dir: string;
  let server: RedisServer;
  let opened: Opened;

  const start = (port?: number, ...more: string[]) => {
    // The answer comes after the write to the file; only a machine that dies would need more.
    const args = ["--appendonly", "yes", "--appendfsync", "no", ...more];
    return startRedis({ args, dir, ...(port === undefined ? {} : { port }) });
  };
  const killed = async () => {
    server.kill("SIGKILL");
    await until(() => server.process.signalCode !== null);
  };
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), "redis-session-store-outage-"));
    server = await start();
    opened = await open({ port: server.port });
  });
  afterEach(async () => {
    await opened.close();
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  });

  test("kill -9 and restart with the append-only file: requests fail within the timeout, then at once; no acknowledged change is lost", async () => {
    const store = makeStore(opened.client, { timeout });
    const seen: string[] = [];
    store.on("down", () => seen.push("down"));
    store.on("up", () => seen.push("up"));
    const load = await startLoad(store);
    await load.answers(50);
    await killed();
    await until(() => seen.length === 1);
    await load.failures("ERR_UNAVAILABLE", 30);
    server = await start(server.port);
    await load.answers(50);
    const report = await load.stop();
    expectAccounted(report, "ERR_UNAVAILABLE", "ERR_TIMEOUT");
    expect(report.slowest).toBeLessThan(bound);
    expect(seen).toEqual(["down", "up"]);
    const { client } = await sibling(server);
    expect(await load.lost(makeStore(client, { prefix: store.prefix }))).toEqual([]);
  });

  test("SIGSTOP and SIGCONT: a server that hangs looks well to its client, and nothing hangs on it", async () => {
    const store = makeStore(opened.client, { timeout });
    const seen: string[] = [];
    store.on("down", () => seen.push("down"));
    store.on("up", () => seen.push("up"));
    const load = await startLoad(store);
    await load.answers(50);
    server.kill("SIGSTOP");
    await load.failures("ERR_TIMEOUT", 1);
    await load.failures("ERR_UNAVAILABLE", 30);
    server.kill("SIGCONT");
    await load.answers(50);
    const report = await load.stop();
    expectAccounted(report, "ERR_UNAVAILABLE", "ERR_TIMEOUT");
    expect(report.slowest).toBeLessThan(bound);
    expect(seen).toEqual(["down", "up"]);
    expect(await load.lost(store)).toEqual([]);
  });
});

async function sibling({ url }: RedisServer) {
  return { client: await connect(6, url) };
}
