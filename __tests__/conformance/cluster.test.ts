import { type Cluster, startCluster } from "../support/servers.js";
import { clusters } from "./clients.js";
import { conformance } from "./suite.js";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(() => cluster?.stop());

describe.each(clusters)("a cluster: $name", ({ open, keyPrefix = "" }) => {
  conformance("conforms", async () => ({
    ...(await open(cluster.nodes)),
    keyPrefix,
    command: (key, ...command) => cluster.command(key, ...command),
    async everywhere(...command) {
      for (const primary of await cluster.primaries()) await primary.command(...command);
    },
  }));
});
