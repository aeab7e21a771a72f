// Clusters and failovers with a server that compares by itself and one that has scripts only. They
// need both: `npm run test:servers` names the second one.
import { randomBytes } from "node:crypto";
import { performance } from "node:perf_hooks";
import { RedisStore } from "../../lib/index.js";
import { startProxy, type TcpProxy } from "../support/proxy.js";
import { compares, load } from "../support/requests.js";
import { type Cluster, type Server, startCluster, startServer } from "../support/servers.js";
import { PATIENT, sessionOf, until } from "../support/store.js";
import { clusters, type Opened, plain } from "./clients.js";

const own = process.env.REDIS_SERVER_BINARY ?? "";
const other = process.env.REDIS_SESSION_STORE_OTHER_SERVER ?? "";
const describeBoth = other === "" ? describe.skip : describe;

const newPrefix = () => `two-kinds:${randomBytes(9).toString("base64url")}:`;

/** How often a command has run on a server, without what is in scripts: those are saves too. */
async function calls(server: Server, name: string): Promise<number> {
  const stats = String(await server.command("INFO", "commandstats"));
  return Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
}

afterEach(() => {
  jest.restoreAllMocks();
});

describeBoth.each(plain)("a failover to a server of another kind: $name", ({ open }) => {
  let servers: Server[];
  let proxy: TcpProxy;
  let opened: Opened;
  beforeAll(async () => {
    servers = [await startServer(), await startServer({ binary: other })];
    proxy = await startProxy((servers[0] as Server).port);
    opened = await open({ port: proxy.port });
  });
  afterAll(async () => {
    await opened?.close();
    await proxy?.stop();
    for (const server of servers ?? []) await server.stop();
  });

  test("there and back: no save is lost, and each server is used for what it can", async () => {
    const store = new RedisStore({ client: opened.client, prefix: newPrefix(), timeout: PATIENT });
    const key = `${store.prefix}sid`;
    await store.set("sid", sessionOf({ n: 0 }));
    const mine = await load(store, "sid");
    let [here, there] = servers as [Server, Server];
    // A minute passes from one to the next: only then a server is asked again.
    const now = performance.now.bind(performance);
    let passed = 0;
    jest.spyOn(performance, "now").mockImplementation(() => now() + passed);
    const save = async () => {
      mine.n = Number(mine.n) + 1;
      expect(await store.set("sid", mine)).toBe("OK");
      const stored = String(await here.command("GET", key));
      expect(JSON.parse(stored)).toMatchObject({ n: mine.n });
      return stored;
    };
    for (let turn = 0; turn < 4; turn++) {
      await save();
      const comparing = await compares(here.command);
      const scripts = await calls(here, "evalsha");
      const stored = await save();
      expect((await calls(here, "evalsha")) - scripts).toBe(comparing ? 0 : 1);
      await there.command("SET", key, stored, "PX", "60000");
      [here, there] = [there, here];
      proxy.lead(here.port);
      proxy.drop();
      passed += 60_000;
      await until(async () => (await store.get("sid").catch(() => null)) !== null);
    }
  });
});

describeBoth("a cluster with both kinds", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startCluster([own, other, own]);
  });
  afterAll(() => cluster?.stop());

  test.each(clusters)("keeps all changes, each by what its primary can: $name", async (way) => {
    const { client, close } = await way.open(cluster.nodes);
    try {
      const store = new RedisStore({ client, prefix: newPrefix(), timeout: PATIENT });
      const sids = Array.from({ length: 60 }, (_, index) => `sid-${index}`);
      await Promise.all(sids.map((sid) => store.set(sid, sessionOf({ n: 0 }))));
      const sessions = await Promise.all(sids.map((sid) => load(store, sid)));
      const saveAll = async (n: number) => {
        const saves = sessions.map((session, index) =>
          store.set(sids[index] as string, Object.assign(session, { n })),
        );
        expect(new Set(await Promise.all(saves))).toEqual(new Set(["OK"]));
      };
      await saveAll(1);
      const primaries = await cluster.primaries();
      const before = await Promise.all(primaries.map((primary) => calls(primary, "evalsha")));
      await saveAll(2);
      const after = await Promise.all(primaries.map((primary) => calls(primary, "evalsha")));
      for (const [index, primary] of primaries.entries()) {
        const scripts = (after[index] as number) - (before[index] as number);
        const comparing = await compares(primary.command);
        // valkey-glide does not tell where a key is: all its primaries count as one.
        if (!comparing || way.name.includes("glide")) expect(scripts).toBeGreaterThan(0);
        else expect(scripts).toBe(0);
      }
      for (const sid of sids) expect(await store.get(sid)).toMatchObject({ n: 2 });
    } finally {
      await close();
    }
  });
});
