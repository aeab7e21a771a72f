import { type SentinelSet, startSentinels } from "../support/servers.js";
import { sentinels } from "./clients.js";
import { conformance } from "./suite.js";

let set: SentinelSet;
beforeAll(async () => {
  set = await startSentinels();
});
afterAll(() => set?.stop());

describe.each(sentinels)("sentinels: $name", ({ open, keyPrefix = "" }) => {
  conformance("conforms", async () => ({
    ...(await open(set)),
    keyPrefix,
    command: async (_key, ...command) => (await set.primary()).command(...command),
    everywhere: async (...command) => (await set.primary()).command(...command),
  }));
});
