import { RedisStore } from "../../lib/index.js";
import { clusters } from "../conformance/clients.js";
import { type Cluster, type Server, startCluster } from "../support/servers.js";
import { sessionOf, until } from "../support/store.js";
import { listen, watchSuite } from "../support/watch-suite.js";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(() => cluster?.stop());

/** What is written somewhere until it is heard of. */
async function hears(store: RedisStore, log: string[], sid: string): Promise<void> {
  await until(async () => {
    await store.set(sid, sessionOf()).catch(() => {});
    return log.some((line) => line.endsWith(` ${sid}`));
  });
}

async function listeners(server: Server): Promise<number> {
  const list = String(await server.command("CLIENT", "LIST", "TYPE", "pubsub"));
  return list
    .split("\n")
    .filter((line) => line.includes("cmd=psubscribe") || /psub=[1-9]/.test(line)).length;
}

async function replicaOf(primary: Server): Promise<Server> {
  for (;;) {
    for (const node of await cluster.replicas()) {
      const text = String(await node.command("INFO", "replication"));
      if (text.includes(`master_port:${primary.port}\r\n`) && text.includes("link_status:up"))
        return node;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const ways = clusters.filter(({ name }) => !name.includes("glide"));

describe.each(ways)("in a cluster", ({ name, open, keyPrefix = "" }) => {
  watchSuite(name, async () => ({
    ...(await open(cluster.nodes)),
    keyPrefix,
    command: (key, ...command) => cluster.command(key, ...command),
    everywhere: async (...command) =>
      Promise.all((await cluster.primaries()).map((primary) => primary.command(...command))),
  }));
});

test.each(ways.filter(({ name }) => /^(io)?redis [456]$|iovalkey/.test(name)))(
  "after a failover the new primary is listened to: $name",
  async ({ open }) => {
    const { client, close } = await open(cluster.nodes);
    const store = new RedisStore({ client, prefix: `failover:${Math.random()}:`, timeout: 1000 });
    try {
      const log = listen(await store.watch());
      const slot = await cluster.slotOf(`${store.prefix}sid`);
      const before = await cluster.ownerOf(slot);
      await hears(store, log, "sid");
      const successor = await replicaOf(before);
      // Soon after another failover the other primaries do not vote; then it is asked for again.
      let next = 0;
      await until(async () => {
        if (Date.now() > next) await successor.command("CLUSTER", "FAILOVER").catch(() => {});
        if (Date.now() > next) next = Date.now() + 6000;
        return (await cluster.ownerOf(slot)) === successor;
      });
      await until(async () => {
        await store.get("sid").catch(() => {});
        return (await listeners(successor)) === 1 && (await listeners(before)) === 0;
      });
      log.length = 0;
      await hears(store, log, "sid");
    } finally {
      store.close();
      await close();
    }
  },
  60_000,
);
