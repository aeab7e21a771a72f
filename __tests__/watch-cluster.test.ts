import { clusters } from "./conformance/clients.js";
import { type Cluster, startCluster } from "./support/servers.js";
import { watchSuite } from "./support/watch-suite.js";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(() => cluster?.stop());

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
