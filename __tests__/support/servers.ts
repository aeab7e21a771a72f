import { rmSync, writeFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "redis";
import { type RedisServer, startRedis } from "../../tools/redis-server.js";
import { until } from "./store.js";

/** Anything that Redis answers. */
type Reply = unknown;

/** A server with a connection of the test's own, to look behind the store's back. */
export interface Server {
  readonly port: number;
  readonly url: string;
  command(...args: (string | Buffer)[]): Promise<Reply>;
  kill(signal?: NodeJS.Signals): boolean;
  stop(): Promise<void>;
}

/** Starts one server; `options` as for startRedis. */
export async function startServer(options: Parameters<typeof startRedis>[0] = {}): Promise<Server> {
  return watch(await startRedis(options));
}

function watch(server: RedisServer): Server {
  const client = createClient({ url: server.url, RESP: 2, disableOfflineQueue: true });
  client.on("error", () => {});
  const connecting = client.connect().catch(() => {});
  return {
    port: server.port,
    url: server.url,
    async command(...args) {
      await connecting;
      return client.sendCommand(args);
    },
    kill: server.kill,
    async stop() {
      client.destroy();
      await server.stop();
    },
  };
}

/** Stops all; none of them is left when one fails. */
async function stopAll(servers: readonly { stop(): Promise<void> }[]): Promise<void> {
  await Promise.allSettled(servers.map((server) => server.stop()));
}

/** Starts servers at the same time; when one does not come up, none is left. */
async function startAll(
  count: number,
  start: (index: number) => Promise<Server>,
): Promise<Server[]> {
  const started = await Promise.allSettled(
    Array.from({ length: count }, (_, index) => start(index)),
  );
  const servers = started.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  const failure = started.find((one) => one.status === "rejected");
  if (failure === undefined) return servers;
  await stopAll(servers);
  throw failure.reason;
}

const SLOTS = 16384;

/** Three primaries with a replica each. */
export interface Cluster {
  readonly nodes: readonly Server[];
  /** The primaries as the cluster has them now. */
  primaries(): Promise<Server[]>;
  replicas(): Promise<Server[]>;
  slotOf(key: string): Promise<number>;
  /** The primary that serves a slot now. */
  ownerOf(slot: number): Promise<Server>;
  /** Sends a command to the primary that holds `key` now. */
  command(key: string, ...args: (string | Buffer)[]): Promise<Reply>;
  /** Moves a slot with its keys; `half` is called when half of the keys have moved. */
  move(slot: number, to: Server, half?: () => Promise<void>): Promise<void>;
  idOf(node: Server): Promise<string>;
  stop(): Promise<void>;
}

/** A node of a busy machine is not dead because it stands still for a second. */
const asCluster = [
  ["--cluster-enabled", "yes"],
  ["--cluster-node-timeout", "3000"],
  ["--cluster-replica-validity-factor", "0"],
  ["--repl-diskless-sync-delay", "0"],
  ["--repl-ping-replica-period", "1"],
].flat();

/** @param binaries - of the three primaries; each replica is of the same kind as its primary */
export async function startCluster(binaries: readonly string[] = []): Promise<Cluster> {
  const nodes = await startAll(6, (index) => {
    const binary = binaries[index % 3];
    return startServer({ args: asCluster, ...(binary === undefined ? {} : { binary }) });
  });
  try {
    await join6(nodes);
  } catch (error) {
    await stopAll(nodes);
    throw error;
  }

  const rows = async () => {
    for (const node of nodes) {
      const slots = await slotsOf(node).catch(() => []);
      if (slots.length > 0) return slots;
    }
    throw new Error("no node of the cluster answers");
  };
  const byPort = (port: number) => nodes.find((node) => node.port === port) as Server;
  const slotOf = async (key: string) => {
    const [primary] = await cluster.primaries();
    return (await (primary as Server).command("CLUSTER", "KEYSLOT", key)) as number;
  };
  const cluster: Cluster = {
    nodes,
    async primaries() {
      const ports = (await rows()).map(([, , [, port]]) => port);
      return [...new Set(ports)].map(byPort);
    },
    async replicas() {
      const primaries = await cluster.primaries();
      return nodes.filter((node) => !primaries.includes(node));
    },
    slotOf,
    async ownerOf(slot) {
      const row = (await rows()).find(([from, to]) => from <= slot && slot <= to);
      if (row === undefined) throw new Error(`nobody serves slot ${slot}`);
      return byPort(row[2][1]);
    },
    async command(key, ...args) {
      return (await cluster.ownerOf(await slotOf(key))).command(...args);
    },
    async move(slot, to, half) {
      const from = await cluster.ownerOf(slot);
      const name = String(slot);
      await to.command("CLUSTER", "SETSLOT", name, "IMPORTING", await cluster.idOf(from));
      await from.command("CLUSTER", "SETSLOT", name, "MIGRATING", await cluster.idOf(to));
      const keys = (await from.command("CLUSTER", "GETKEYSINSLOT", name, "100000")) as string[];
      const migrate = async (some: string[]) => {
        for (let start = 0; start < some.length; start += 100) {
          const where = ["127.0.0.1", String(to.port), "", "0", "5000", "KEYS"];
          await from.command("MIGRATE", ...where, ...some.slice(start, start + 100));
        }
      };
      const middle = keys.length >> 1;
      try {
        await migrate(keys.slice(0, middle));
        await half?.();
        await migrate(keys.slice(middle));
      } catch (error) {
        // What is left half done would be in the way of the tests that follow.
        for (const node of [from, to]) await node.command("CLUSTER", "SETSLOT", name, "STABLE");
        throw error;
      }
      const id = await cluster.idOf(to);
      for (const node of [to, from, ...(await cluster.primaries())]) {
        await node.command("CLUSTER", "SETSLOT", name, "NODE", id);
      }
    },
    idOf: async (node) => String(await node.command("CLUSTER", "MYID")),
    stop: () => stopAll(nodes),
  };
  return cluster;
}

/** A range of slots with the nodes that serve it, the primary first. */
type SlotRow = [from: number, to: number, ...nodes: [[string, number], ...[string, number][]]];

async function slotsOf(node: Server): Promise<SlotRow[]> {
  return (await node.command("CLUSTER", "SLOTS")) as SlotRow[];
}

async function join6(nodes: readonly Server[]): Promise<void> {
  const primaries = nodes.slice(0, 3);
  await Promise.all(
    primaries.map(async (primary, index) => {
      const slots: string[] = [];
      for (let slot = index; slot < SLOTS; slot++) {
        if (Math.floor((slot * 3) / SLOTS) === index) slots.push(String(slot));
      }
      await primary.command("CLUSTER", "ADDSLOTS", ...slots);
      await primary.command("CLUSTER", "SET-CONFIG-EPOCH", String(index + 1));
    }),
  );
  const [first, ...others] = nodes as [Server, ...Server[]];
  for (const node of others) {
    await first.command("CLUSTER", "MEET", "127.0.0.1", String(node.port));
  }
  const known = async (node: Server) =>
    String(await node.command("CLUSTER", "NODES")).match(/ connected/g)?.length === nodes.length;
  await until(async () => (await Promise.all(nodes.map(known))).every(Boolean));
  for (const [index, replica] of nodes.slice(3).entries()) {
    const id = String(await primaries[index]?.command("CLUSTER", "MYID"));
    // The replica may not know yet that this node is a primary.
    await until(() =>
      replica.command("CLUSTER", "REPLICATE", id).then(
        () => true,
        () => false,
      ),
    );
  }
  await until(async () => {
    const states = await Promise.all(nodes.map((node) => node.command("CLUSTER", "INFO")));
    const tables = await Promise.all(nodes.map(slotsOf));
    return (
      states.every((state) => String(state).includes("cluster_state:ok")) &&
      // A replica is listed when it has its data.
      tables.every((table) => table.every(([, , ...row]) => row.length === 2))
    );
  });
}

/** A primary with two replicas, watched by three sentinels. */
export interface SentinelSet {
  readonly name: string;
  readonly sentinels: readonly Server[];
  readonly nodes: readonly Server[];
  /** The primary as the sentinels have it now. */
  primary(): Promise<Server>;
  replicas(): Promise<Server[]>;
  stop(): Promise<void>;
}

export async function startSentinels(): Promise<SentinelSet> {
  const name = "sessions";
  const dir = await mkdtemp(join(tmpdir(), "redis-session-store-sentinels-"));
  const running: Server[] = [];
  const stop = async () => {
    await stopAll(running);
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    const quick = ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"];
    const [first] = await startAll(1, () => startServer({ args: quick }));
    const primary = first as Server;
    running.push(primary);
    const following = [...quick, "--replicaof", `127.0.0.1 ${primary.port}`];
    running.push(...(await startAll(2, () => startServer({ args: following }))));
    const nodes = running.slice();
    await until(async () =>
      String(await primary.command("INFO", "replication")).includes("connected_slaves:2"),
    );
    const sentinels = await startAll(3, (index) => {
      const file = join(dir, `sentinel-${index}.conf`);
      const settings = [
        `sentinel monitor ${name} 127.0.0.1 ${primary.port} 2`,
        `sentinel down-after-milliseconds ${name} 3000`,
        `sentinel failover-timeout ${name} 4000`,
      ];
      writeFileSync(file, `${settings.join("\n")}\n`);
      return startServer({ args: [file, "--sentinel"] });
    });
    running.push(...sentinels);
    const asked = async (...args: string[]) => {
      for (const sentinel of sentinels) {
        const reply = await sentinel.command("SENTINEL", ...args).catch(() => null);
        if (reply !== null) return reply;
      }
      throw new Error("no sentinel answers");
    };
    await until(async () => {
      const seen = await Promise.all(
        sentinels.map((sentinel) => sentinel.command("SENTINEL", "MASTER", name)),
      );
      return seen.every((fields) => {
        const text = (fields as string[]).join(" ");
        return text.includes("num-slaves 2") && text.includes("num-other-sentinels 2");
      });
    });
    const current = async () => {
      const [, port] = (await asked("GET-MASTER-ADDR-BY-NAME", name)) as [string, string];
      return nodes.find((node) => node.port === Number(port)) as Server;
    };
    return {
      name,
      sentinels,
      nodes,
      primary: current,
      async replicas() {
        const primary = await current();
        return nodes.filter((node) => node !== primary);
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
