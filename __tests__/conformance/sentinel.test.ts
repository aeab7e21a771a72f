import { randomBytes } from "node:crypto";
import { GlideClient } from "@valkey/valkey-glide";
import { RedisStore } from "../../lib/index.js";
import { type SentinelSet, startSentinels } from "../support/servers.js";
import { PATIENT, until } from "../support/store.js";
import { sentinels } from "./clients.js";
import { expectNoReads, outlivesFailover } from "./replicas.js";
import { conformance, OWN } from "./suite.js";

let set: SentinelSet;
beforeAll(async () => {
  set = await startSentinels();
});
afterAll(() => set?.stop());

const newPrefix = () => `${OWN}${randomBytes(9).toString("base64url")}:`;

describe.each(sentinels)("sentinels: $name", ({ open, keyPrefix = "" }) => {
  conformance("conforms", async () => ({
    ...(await open(set)),
    keyPrefix,
    command: async (_key, ...command) => (await set.primary()).command(...command),
    everywhere: async (...command) => (await set.primary()).command(...command),
  }));

  test("reads on the primary alone", async () => {
    const { client, close } = await open(set);
    try {
      const store = new RedisStore({ client, prefix: newPrefix(), timeout: PATIENT });
      await expectNoReads(store, await set.replicas());
    } finally {
      await close();
    }
  });
});

test("valkey-glide, which is given all nodes and set to read from replicas, reads on the primary alone", async () => {
  const client = await GlideClient.createClient({
    addresses: set.nodes.map(({ port }) => ({ host: "127.0.0.1", port })),
    readFrom: "preferReplica",
    requestTimeout: 2000,
  });
  try {
    await expectNoReads(
      new RedisStore({ client, prefix: newPrefix(), timeout: PATIENT }),
      await set.replicas(),
    );
  } finally {
    client.close();
  }
});

test("all clients outlive the end of the primary", async () => {
  const opened = await Promise.all(sentinels.map(({ open }) => open(set)));
  try {
    await outlivesFailover(
      opened.map(({ client }) => new RedisStore({ client, prefix: newPrefix(), timeout: 1_000 })),
      async () => {
        const primary = await set.primary();
        await until(async () => Number(await primary.command("WAIT", "2", "1000")) === 2);
        primary.kill();
        await until(async () => (await set.primary()) !== primary);
      },
    );
  } finally {
    await Promise.allSettled(opened.map(({ close }) => close()));
  }
});
