import { RedisStore } from "../../lib/index.js";
import { clusters } from "../conformance/clients.js";
import { type Cluster, startCluster } from "../support/servers.js";
import { freshPrefix, PATIENT, sessionOf } from "../support/store.js";
import { sidsOf, userId, userIndexSuite } from "../support/user-index-suite.js";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(() => cluster?.stop());

describe.each(clusters)("in a cluster", ({ name, open, keyPrefix = "" }) => {
  userIndexSuite(name, async () => ({
    ...(await open(cluster.nodes)),
    keyPrefix,
    command: (key, ...command) => cluster.command(key, ...command),
    everywhere: async (...command) =>
      Promise.all((await cluster.primaries()).map((primary) => primary.command(...command))),
  }));
});

test.each(["{}", "a{}b", "{", "}{", "{a}", "%7b"])(
  "both parts of an index are in one slot, with the prefix %p",
  async (start) => {
    const way = clusters.find(({ name }) => name === "redis 6") as (typeof clusters)[number];
    const { client, close } = await way.open(cluster.nodes);
    try {
      const prefix = `${start}${freshPrefix()}`;
      const store = new RedisStore({ client, prefix, userId, timeout: PATIENT });
      await store.set("s", sessionOf({ user: "{}" }));
      expect(await sidsOf(store, "{}")).toEqual(["s"]);
      expect(await store.clear()).toBe(1);
      expect(await sidsOf(store, "{}")).toEqual([]);
    } finally {
      await close();
    }
  },
);
