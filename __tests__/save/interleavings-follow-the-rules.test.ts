import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import fc from "fast-check";
import type { RedisStoreOptions, Serializer } from "../../lib/index.js";
import { type Bench, parserOf, Run, takeClock } from "../support/model-run.js";
import { type Plan, plan } from "../support/model-steps.js";
import { connect, freshPrefix, type TestClient } from "../support/store.js";

/** What the same interleavings run with; a later option of the store is one more line. */
const VARIANTS: Record<
  string,
  { share: number; options: Omit<Partial<RedisStoreOptions>, "client"> }
> = {
  "text in JSON": { share: 0.45, options: {} },
  "an async serializer": { share: 0.15, options: { serializer: asyncText() } },
  "a serializer with a random IV": { share: 0.15, options: { serializer: encrypted() } },
  "a binary, async serializer": { share: 0.1, options: { serializer: asyncBytes() } },
  "an absolute timeout that is far": { share: 0.08, options: { absoluteTtl: 3e7 } },
  "an index of users": { share: 0.06, options: { userId } },
};

const runs = Number(process.env.REDIS_SESSION_STORE_RUNS ?? 2200);
const seed = Number(process.env.REDIS_SESSION_STORE_SEED ?? Math.trunc(Math.random() * 2 ** 31));

/** What the store takes for the user anyway; the option turns on the index. */
function userId(session: object): string | undefined {
  const user = (session as { passport?: { user?: number } }).passport?.user;
  return user === undefined ? undefined : `user ${user}`;
}

function asyncText(): Serializer {
  return {
    parse: async (text) => JSON.parse(text) as unknown,
    // Saves that begin later may be ready earlier.
    stringify: async (session) => {
      const text = JSON.stringify(session);
      if (randomBytes(1)[0]! < 128) await new Promise((resolve) => setImmediate(resolve));
      return text;
    },
  };
}

function encrypted(): Serializer {
  const secret = randomBytes(32);
  return {
    stringify(session) {
      const iv = randomBytes(12);
      const cipher = createCipheriv("aes-256-gcm", secret, iv);
      const text =
        cipher.update(JSON.stringify(session), "utf8", "base64") + cipher.final("base64");
      return [iv.toString("base64"), cipher.getAuthTag().toString("base64"), text].join(".");
    },
    parse(stored) {
      const [iv = "", tag = "", text = ""] = stored.split(".");
      const decipher = createDecipheriv("aes-256-gcm", secret, Buffer.from(iv, "base64"));
      decipher.setAuthTag(Buffer.from(tag, "base64"));
      return JSON.parse(
        decipher.update(text, "base64", "utf8") + decipher.final("utf8"),
      ) as unknown;
    },
  };
}

function asyncBytes(): Serializer {
  return {
    binary: true,
    parse: async (bytes: Buffer) => JSON.parse(bytes.subarray(4).toString("utf16le")) as unknown,
    stringify: async (session: object) =>
      Buffer.concat([randomBytes(4), Buffer.from(JSON.stringify(session), "utf16le")]),
  };
}

let clients: TestClient[];
let giveClockBack: () => void;

beforeAll(async () => {
  giveClockBack = takeClock();
  clients = await Promise.all([connect(), connect(), connect(), connect()]);
  // Whoever sees a failure wants this line, and it is the same for all of them.
  process.stderr.write(`interleavings: REDIS_SESSION_STORE_SEED=${seed}, ${runs} runs\n`);
});

afterAll(() => giveClockBack());

test("a life that another process has shortened is renewed, whatever this one remembers", async () => {
  const [observer, ...stores] = clients as [TestClient, ...TestClient[]];
  const prefix = freshPrefix();
  const run = new Run(
    { clients: stores, observer, prefix, options: {}, parse: parserOf(JSON) },
    {
      stores: 2,
      touchAfter: 60,
      steps: [],
    },
  );
  await run.all([
    { step: "begin", store: 0, edits: [{ edit: "maxAge", ms: 240_000 }] },
    { step: "load", store: 0, session: 0 },
    // The first process remembers an expiry 244 s from now.
    { step: "touch", object: 0, edits: [] },
    { step: "pass", ms: 3_000 },
    { step: "load", store: 1, session: 0 },
    { step: "touch", object: 0, edits: [{ edit: "maxAge", ms: 120_000 }] },
    { step: "pass", ms: 60_000 },
    { step: "pass", ms: 60_000 },
    // Two seconds are left, and 123 + 120 s is about what it remembers.
    { step: "load", store: 0, session: 0 },
    { step: "touch", object: 0, edits: [] },
  ]);
});

describe("what interleaved requests leave in Redis is what the rules say", () => {
  test.each(
    Object.entries(VARIANTS).map(([name, variant], index) => ({ name, index, ...variant })),
  )(
    "with $name",
    async ({ index, share, options }) => {
      const [observer, ...stores] = clients as [TestClient, ...TestClient[]];
      const bench: Bench = {
        clients: stores,
        observer,
        prefix: freshPrefix(),
        options,
        parse: parserOf(options.serializer ?? JSON),
      };
      await fc.assert(
        fc.asyncProperty(plan, (one: Plan) => new Run(bench, one).all(one.steps)),
        { seed: seed + index, numRuns: Math.ceil(runs * share) },
      );
    },
    Math.max(60_000, runs * 100),
  );
});
