import { randomBytes } from "node:crypto";
import type { SessionData } from "express-session";
import { RedisStore } from "../../lib/index.js";
import { type Cluster, type Server, startCluster } from "../support/servers.js";
import { PATIENT, sessionOf, until } from "../support/store.js";
import { limit, USER } from "./acl.js";
import { clusters, limitedClusters, type Opened } from "./clients.js";
import { expectNoReads, outlivesFailover } from "./replicas.js";
import { conformance, OWN } from "./suite.js";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(() => cluster?.stop());

const newPrefix = (tag = "") => `${OWN}${tag}${randomBytes(9).toString("base64url")}:`;

describe.each(clusters)("a cluster: $name", ({ open, keyPrefix = "" }) => {
  conformance("conforms", async () => ({
    ...(await open(cluster.nodes)),
    keyPrefix,
    command: (key, ...command) => cluster.command(key, ...command),
    async everywhere(...command) {
      for (const primary of await cluster.primaries()) await primary.command(...command);
    },
  }));

  describe("over one client", () => {
    let opened: Opened;
    beforeAll(async () => {
      opened = await open(cluster.nodes);
    });
    afterAll(() => opened?.close());

    test("reads on the primaries alone", async () => {
      const store = new RedisStore({
        client: opened.client,
        prefix: newPrefix(),
        timeout: PATIENT,
      });
      await expectNoReads(store, await cluster.replicas());
    });

    test("survives a slot that moves, and misses none of its sessions", async () => {
      // All in one slot.
      const tag = `{${randomBytes(9).toString("base64url")}}`;
      const store = new RedisStore({
        client: opened.client,
        prefix: newPrefix(tag),
        timeout: PATIENT,
      });
      const sids = Array.from({ length: 2_400 }, (_, index) => `sid-${index}`);
      for (let start = 0; start < sids.length; start += 200) {
        const some = sids.slice(start, start + 200);
        await Promise.all(some.map((sid) => store.set(sid, sessionOf({ sid }))));
      }
      const slot = await cluster.slotOf(`${keyPrefix}${store.prefix}`);
      const from = await cluster.ownerOf(slot);
      const to = (await cluster.primaries()).find((primary) => primary !== from) as Server;

      const seen = new Set<string>();
      for await (const { sid } of store.sessions()) {
        seen.add(sid);
        if (seen.size > 1) continue;
        await cluster.move(slot, to, async () => {
          // Some are on the one server now, some on the other.
          for (const some of [sids.slice(0, 20), sids.slice(-20)]) {
            const loaded = await Promise.all(some.map((one) => store.get(one)));
            const saved = loaded.map((session, index) =>
              store.set(
                some[index] as string,
                Object.assign(session as SessionData, { moved: true }),
              ),
            );
            expect(new Set(await Promise.all(saved))).toEqual(new Set(["OK"]));
          }
          expect((await store.ids()).sort()).toEqual(sids.slice().sort());
        });
      }
      expect([...seen].sort()).toEqual(sids.slice().sort());
      expect(await cluster.ownerOf(slot)).toBe(to);
      expect(await store.get("sid-0")).toMatchObject({ moved: true });

      let cleared = 0;
      await cluster.move(slot, from, async () => {
        cleared = await store.clear();
      });
      expect(cleared).toBe(2_400);
      expect(await store.length()).toBe(0);
    });
  });
});

describe.each(limitedClusters)("a limited user of a cluster: $name", ({ open }) => {
  beforeAll(() => limit(cluster.nodes, true));
  conformance("conforms", async () => ({
    ...(await open(cluster.nodes.map(({ port }) => ({ port, ...USER })))),
    command: (key, ...command) => cluster.command(key, ...command),
    async everywhere(...command) {
      for (const primary of await cluster.primaries()) await primary.command(...command);
    },
  }));
});

test("all clients outlive the end of a primary", async () => {
  const opened = await Promise.all(clusters.map(({ open }) => open(cluster.nodes)));
  try {
    await outlivesFailover(
      opened.map(({ client }) => new RedisStore({ client, prefix: newPrefix(), timeout: 1_000 })),
      async () => {
        const [primary] = (await cluster.primaries()) as [Server, ...Server[]];
        await until(async () => Number(await primary.command("WAIT", "1", "1000")) === 1);
        primary.kill();
        await until(async () => {
          const primaries = await cluster.primaries().catch((): Server[] => []);
          return primaries.length === 3 && !primaries.includes(primary);
        });
      },
    );
  } finally {
    await Promise.allSettled(opened.map(({ close }) => close()));
  }
});
