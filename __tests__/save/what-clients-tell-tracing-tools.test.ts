import { channel } from "node:diagnostics_channel";
import type { SessionData } from "express-session";
import { type RedisClient, RedisStore } from "../../lib/index.js";
import { singles } from "../conformance/clients.js";
import { compares, load } from "../support/requests.js";
import { connect, freshPrefix, isSealed, rawOf, sessionOf, url } from "../support/store.js";

/** The channels on which redis 5 and 6 and ioredis 5 and 6 say what they send, before it is answered. */
const CHANNELS = [
  "tracing:node-redis:command:start",
  "tracing:node-redis:batch:start",
  "tracing:ioredis:command:start",
  "tracing:ioredis:batch:start",
];

/** What only the session has. */
const SECRET = "n0-tracing-tool-prints-this";

/** The commands that are told while `work` runs, in words. */
async function told(work: () => Promise<unknown>): Promise<string[]> {
  const commands: string[] = [];
  const hear = (message: unknown) => {
    const { command, args } = message as { command?: unknown; args?: unknown };
    commands.push(JSON.stringify([command, args]));
  };
  for (const name of CHANNELS) channel(name).subscribe(hear);
  try {
    await work();
  } finally {
    for (const name of CHANNELS) channel(name).unsubscribe(hear);
  }
  return commands;
}

const clients = singles.filter(({ name }) =>
  ["redis 5", "redis 6", "ioredis 5", "ioredis 6"].includes(name),
);

let raw: ReturnType<typeof rawOf>;
beforeAll(async () => {
  raw = rawOf(await connect());
});

type Data = SessionData & { user?: string; n?: number };
const userId = (session: object) => (session as Data).user;

/** Everything that a request can make a store do, with saves that `changes` makes. */
async function everything(client: RedisClient, saves: boolean): Promise<void> {
  const options = { client, prefix: freshPrefix(), userId, touchAfter: 0, maxSessionsPerUser: 2 };
  const store = new RedisStore(options);
  const other = new RedisStore(options);
  const data = { user: "ada", secret: SECRET, n: 0 };
  for (const sid of ["one", "two", "three"]) await store.set(sid, sessionOf(data));
  const [mine, theirs] = [await load(store, "three"), await load(other, "three")];
  if (saves) {
    mine.n = 1;
    await store.set("three", mine);
    theirs.m = 1;
    await other.set("three", theirs);
  }
  await store.set("three", mine);
  await store.touch("three", mine);
  mine.cookie.maxAge = -1;
  await store.set("three", mine);
  await store.all();
  for await (const { sid } of store.sessions()) await store.get(sid);
  await store.destroy("two");
  await store.destroyAllOf("ada");
  await store.clear();
}

describe.each(clients)("$name", ({ open }) => {
  test("of a session's text its arguments show none, but in scripts that save", async () => {
    const { client, close } = await open({ port: Number(new URL(url).port) });
    try {
      const commands = await told(() => everything(client, true));
      expect(commands.length).toBeGreaterThan(10);
      const leaking = commands.filter((command) => command.includes(SECRET));
      if (isSealed || (await compares(raw.send))) {
        expect(leaking).toEqual([]);
      } else {
        // Saves are scripts then, as docs/observability.md says.
        expect(leaking).not.toEqual([]);
        for (const command of leaking) expect(command).toMatch(/^\["(EVALSHA|EVAL)"/i);
      }
    } finally {
      await close();
    }
  });

  test("renewals, endings, listings and the index show none on any server", async () => {
    const { client, close } = await open({ port: Number(new URL(url).port) });
    try {
      const commands = await told(() => everything(client, false));
      expect(commands.filter((command) => command.includes(SECRET))).toEqual([]);
    } finally {
      await close();
    }
  });
});
