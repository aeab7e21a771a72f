import { RedisStore } from "../../lib/index.js";
import { sentinels } from "../conformance/clients.js";
import { type SentinelSet, startSentinels } from "../support/servers.js";
import { freshPrefix, sessionOf, until } from "../support/store.js";
import { listen, watchSuite } from "../support/watch-suite.js";

let set: SentinelSet;
beforeAll(async () => {
  set = await startSentinels();
});
afterAll(() => set?.stop());

describe.each(sentinels)("through sentinels", ({ name, open, keyPrefix = "" }) => {
  watchSuite(name, async () => ({
    ...(await open({ name: set.name, sentinels: set.sentinels })),
    keyPrefix,
    command: async (_key, ...command) => (await set.primary()).command(...command),
    everywhere: async (...command) => [await (await set.primary()).command(...command)],
  }));
});

test.each(sentinels.filter(({ name }) => /^(redis 5.*|redis 6|iovalkey)$/.test(name)))(
  "after a failover the new primary is listened to: $name",
  async ({ open }) => {
    const { client, close } = await open({ name: set.name, sentinels: set.sentinels });
    const store = new RedisStore({ client, prefix: freshPrefix(), timeout: 1000 });
    try {
      const log = listen(await store.watch());
      const before = await set.primary();
      await set.sentinels[0]?.command("SENTINEL", "FAILOVER", set.name);
      await until(async () => (await set.primary()) !== before);
      const successor = await set.primary();
      // Which of its listeners are the sentinels' cannot be told.
      await until(async () => String(await successor.command("PUBSUB", "NUMPAT")) !== "0");
      log.length = 0;
      let tries = 0;
      await until(async () => {
        await store.set(`s${++tries}`, sessionOf()).catch(() => {});
        return log.some((line) => line.startsWith("created"));
      });
      // The next one needs a quiet set.
      await until(async () => (await set.replicas()).length === 2);
    } finally {
      store.close();
      await close();
    }
  },
  60_000,
);
