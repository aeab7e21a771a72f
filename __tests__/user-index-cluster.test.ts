import { clusters } from "./conformance/clients.js";
import { type Cluster, startCluster } from "./support/servers.js";
import { userIndexSuite } from "./support/user-index-suite.js";

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
