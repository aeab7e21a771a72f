import { randomBytes } from "node:crypto";
import { channel } from "node:diagnostics_channel";
import { inspect } from "node:util";
import type { SessionData } from "express-session";
import {
  type EncryptionOptions,
  type RedisClient,
  RedisStore,
  type RedisStoreOptions,
} from "../../lib/index.js";
import { type RedisServer, startRedis } from "../../tools/redis-server.js";
import { ARGS, MARK, searchContent } from "../../tools/sealed-run.js";
import { singles } from "../conformance/clients.js";
import { load } from "../support/requests.js";
import { type AppSession, freshPrefix, sessionOf } from "../support/store.js";

/** What the clients say of commands and of their answers to whoever traces them. */
const CHANNELS = ["node-redis", "ioredis"].flatMap((client) =>
  ["command", "batch"].flatMap((what) =>
    ["start", "end", "asyncStart", "asyncEnd", "error"].map(
      (when) => `tracing:${client}:${what}:${when}`,
    ),
  ),
);

const ENCRYPTION: EncryptionOptions = {
  keys: { suite: randomBytes(32) },
  write: "suite",
  plaintextUntil: null,
};

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis({ args: ARGS });
});
afterAll(async () => {
  await server?.stop();
});

/** Everything that is said, in full, while `work` runs. */
async function traced(work: () => Promise<unknown>): Promise<string[]> {
  const said: string[] = [];
  const hear = (message: unknown) =>
    said.push(inspect(message, { depth: null, maxStringLength: null, maxArrayLength: null }));
  for (const name of CHANNELS) channel(name).subscribe(hear);
  try {
    await work();
  } finally {
    for (const name of CHANNELS) channel(name).unsubscribe(hear);
  }
  return said;
}

const BINARY = {
  binary: true,
  parse: (bytes: Buffer): unknown => JSON.parse(bytes.toString()),
  stringify: (session: object) => Buffer.from(JSON.stringify(session)),
} as const;

const ways: [string, Omit<Partial<RedisStoreOptions>, "client">][] = [
  ["by default", {}],
  ["in bytes", { serializer: BINARY }],
  ["with deadlines", { absoluteTtl: 1000 }],
  ["without merging", { conflict: "overwrite" }],
  ["without expiry", { disableTTL: true }],
  ["with endings", { endings: { keepFor: 100 } }],
];

/** What apps do, with content in values, in names, in places that others change. */
async function everything(client: RedisClient, options: object): Promise<void> {
  const whole = { client, prefix: freshPrefix(), touchAfter: 0, ...options } as RedisStoreOptions;
  const users = {
    userId: (session: SessionData) => (session as AppSession).user as string,
    maxSessionsPerUser: 3,
  };
  const [store, other] = [new RedisStore({ ...whole, ...users }), new RedisStore(whole)];
  const data = () => sessionOf({ user: "ada", note: MARK, [MARK]: { [MARK]: MARK }, n: 0 });
  for (const sid of ["1", "2", "3", "4"]) await store.set(sid, data());
  const [mine, theirs] = [await load(store, "4"), await load(other, "4")];
  await store.touch("4", mine);
  mine.own = MARK;
  await store.set("4", mine);
  theirs.theirs = MARK;
  await other.set("4", theirs);
  mine.own = { more: MARK };
  await store.set("4", mine);
  await store.set("4", mine);
  mine.cookie.maxAge = 100_000;
  await store.touch("4", mine);
  await store.all();
  for await (const { sid, session } of store.sessions()) await store.set(sid, session);
  await store.sessionsOf("ada");
  await store.destroy("2");
  await other.set("4", theirs);
  await store.destroyAllOf("ada", { scan: true, except: "4" });
}

const clients = singles.filter(({ name }) =>
  ["redis 6", "redis 5", "ioredis 6", "ioredis 5"].includes(name),
);

test.each(clients)(
  "neither its commands, nor its dumps, nor a trace of $name show content",
  async ({ open }) => {
    const search = await searchContent(server);
    const { client, close } = await open({ port: server.port });
    try {
      const said = await traced(async () => {
        for (const [, options] of ways) {
          await everything(client, { ...options, encryption: ENCRYPTION });
        }
      });
      expect(said.length).toBeGreaterThan(100);
      expect(said.filter((message) => message.includes(MARK))).toEqual([]);
      expect(await search.end()).toMatch(/^no content of sessions in \d+ commands/);
    } finally {
      await close();
    }
  },
);

test("the search finds what is there to be found", async () => {
  const search = await searchContent(server);
  const { client, close } = await (clients[0] as (typeof clients)[0]).open({ port: server.port });
  try {
    const said = await traced(async () => {
      await everything(client, { encryption: ENCRYPTION });
      await everything(client, { encryption: { ...ENCRYPTION, write: null } });
    });
    expect(said.filter((message) => message.includes(MARK))).not.toEqual([]);
    const found = search.end().then(String, String);
    expect(await found).toMatch(/command: /);
    expect(await found).toMatch(/dump: /);
  } finally {
    await close();
  }
});
