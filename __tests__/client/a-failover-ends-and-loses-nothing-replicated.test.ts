import { clusters, type Opened, sentinels, type Way } from "../conformance/clients.js";
import { expectAccounted, type Load, startLoad } from "../support/load.js";
import {
  type Cluster,
  type SentinelSet,
  type Server,
  startCluster,
  startSentinels,
} from "../support/servers.js";
import { makeStore, until } from "../support/store.js";

// A primary dies and another server takes over, under load of several clients at once.

const timeout = 600;
/** A request reads and writes, each within `timeout`; the rest is for a machine that is busy. */
const bound = 2 * timeout + 3000;

interface Side {
  readonly name: string;
  readonly store: ReturnType<typeof makeStore>;
  readonly load: Load;
  readonly seen: string[];
}

/** Puts load on the same servers through each of the clients. */
async function startSides<Where>(ways: readonly Way<Where>[], where: Where): Promise<Side[]> {
  return Promise.all(
    ways.map(async ({ name, open: create }) => {
      const opened = await create(where);
      open.push(opened);
      const store = makeStore(opened.client, { timeout });
      const seen: string[] = [];
      store.on("down", () => seen.push("down"));
      store.on("up", () => seen.push("up"));
      const load = await startLoad(store, { users: 9, parallel: 1, pause: 20 });
      return { name, store, load, seen };
    }),
  );
}

/** All users of all sides get answers again; ends them, and gives their reports. */
async function settle(sides: readonly Side[], ...codes: string[]) {
  await Promise.all(
    sides.map(({ name, load }) =>
      load.everyone().catch((error: unknown) => {
        throw new Error(name, { cause: error });
      }),
    ),
  );
  const reports = await Promise.all(sides.map(({ load }) => load.stop()));
  for (const report of reports) {
    expectAccounted(report, ...codes);
    expect(report.slowest).toBeLessThan(bound);
  }
  return reports;
}

const open: Opened[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((opened) => opened.close()));
});

const named = <Where>(ways: readonly Way<Where>[], ...names: string[]) =>
  ways.filter(({ name }) => names.includes(name));

/** Resolves when so many replicas of a primary have all that it has acknowledged until now. */
async function replicated(primary: Server, key: string, replicas: number): Promise<void> {
  await primary.command("SET", key, "1", "PX", "1000");
  if (Number(await primary.command("WAIT", String(replicas), "1000")) < replicas) {
    throw new Error("not replicated yet");
  }
}

describe("sentinels", () => {
  let set: SentinelSet;
  beforeAll(async () => {
    set = await startSentinels();
  });
  afterAll(() => set?.stop());

  test("failover of the primary: the clients find the new one by themselves; of what was replicated nothing is lost", async () => {
    const sides = await startSides(named(sentinels, "redis 6", "ioredis 5"), set);
    await Promise.all(sides.map(({ load }) => load.answers(30)));
    const safe = sides.map(({ load }) => new Set(load.acknowledged()));
    const primary = await set.primary();
    await until(() =>
      replicated(primary, "test:mark", 1).then(
        () => true,
        () => false,
      ),
    );
    primary.kill("SIGKILL");
    await until(async () => (await set.primary()) !== primary);
    await settle(sides, "ERR_UNAVAILABLE", "ERR_TIMEOUT", "ERR_READONLY");
    for (const [index, { load, store }] of sides.entries()) {
      // Replication is asynchronous: what was acknowledged after the mark may be undone.
      expect((await load.lost(store)).filter((name) => safe[index]?.has(name))).toEqual([]);
    }
  });
});

describe("a cluster", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startCluster();
    for (const node of cluster.nodes) {
      await node.command("CONFIG", "SET", "cluster-require-full-coverage", "no");
    }
  });
  afterAll(() => cluster?.stop());

  const ways = named(clusters, "redis 6", "ioredis 6", "valkey-glide reading from replicas");
  const start = () => startSides(ways, cluster.nodes);
  const ownerOf = async ({ store }: Side, sid: string) =>
    cluster.ownerOf(await cluster.slotOf(store.prefix + sid));

  test("a slot that moves, with a session in use in it", async () => {
    const sides = await start();
    for (const side of sides) {
      const [first] = side.load.users();
      const slot = await cluster.slotOf(`${side.store.prefix}${first?.sid}`);
      const from = await cluster.ownerOf(slot);
      const to = (await cluster.primaries()).find((one) => one !== from) as Server;
      await cluster.move(slot, to, () => side.load.answers(20));
    }
    const reports = await settle(sides, "ERR_UNAVAILABLE");
    for (const { answered, sent } of reports) expect(answered).toBeGreaterThan(sent * 0.9);
    for (const { load, store } of sides) expect(await load.lost(store)).toEqual([]);
  });

  test("one dead shard fails the sessions that it holds, and no other", async () => {
    const sides = await start();
    const [side] = sides as [Side];
    const dead = await ownerOf(side, side.load.users()[0]?.sid ?? "");
    const shard = [dead];
    for (const replica of await cluster.replicas()) {
      const role = (await replica.command("ROLE")) as unknown[];
      if (Number(role[2]) === dead.port) shard.push(replica);
    }
    expect(shard).toHaveLength(2);
    const on = await Promise.all(
      sides.map((one) =>
        Promise.all(one.load.users().map(async ({ sid }) => (await ownerOf(one, sid)) === dead)),
      ),
    );
    for (const node of shard) node.kill("SIGSTOP");
    try {
      for (const [index, { load }] of sides.entries()) {
        if (on[index]?.includes(true)) await load.failures("any", 3);
      }
      await Promise.all(sides.map(({ load }) => load.answers(60)));
      for (const [index, { load, seen, name }] of sides.entries()) {
        const failed = load.users().map(({ failures }) => failures > 0);
        const wrong = failed.filter((one, user) => one && !on[index]?.[user]);
        expect([name, wrong]).toEqual([name, []]);
        expect([name, seen]).toEqual([name, []]);
      }
    } finally {
      for (const node of shard) node.kill("SIGCONT");
    }
    await settle(sides, "ERR_TIMEOUT", "ERR_UNAVAILABLE");
  });

  test("failover of a primary: its replica takes over; of what was replicated nothing is lost", async () => {
    const sides = await start();
    await Promise.all(sides.map(({ load }) => load.answers(30)));
    const safe = sides.map(({ load }) => new Set(load.acknowledged()));
    // After the test before this one, primaries and replicas may still be changing their places.
    const marked = new Set<Server>();
    await until(async () => {
      const key = `test:mark${Math.random()}`;
      const owner = await cluster.ownerOf(await cluster.slotOf(key));
      if (!marked.has(owner)) {
        await replicated(owner, key, 1).then(
          () => marked.add(owner),
          () => {},
        );
      }
      return (await cluster.primaries()).every((primary) => marked.has(primary));
    });
    const [side] = sides as [Side];
    const victim = await ownerOf(side, side.load.users()[0]?.sid ?? "");
    const count = (await cluster.primaries()).length;
    victim.kill("SIGKILL");
    await until(async () => {
      const primaries = await cluster.primaries();
      return primaries.length === count && !primaries.includes(victim);
    });
    // Each user is answered again, also those of the dead primary.
    await settle(sides, "ERR_TIMEOUT", "ERR_UNAVAILABLE", "ERR_READONLY");
    for (const [index, { load, store }] of sides.entries()) {
      expect((await load.lost(store)).filter((name) => safe[index]?.has(name))).toEqual([]);
    }
  });
});
