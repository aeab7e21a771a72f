import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { createClient } from "redis";
import { RedisStore, type RedisStoreOptions } from "../../lib/index.js";
import { type Opened, plain } from "../conformance/clients.js";
import { type Server, startServer } from "../support/servers.js";
import { type AppSession, refusal, sessionOf, until } from "../support/store.js";

// Everything runs as the users of docs/redis-user.md.

const page = readFileSync(resolve(__dirname, "../../docs/redis-user.md"), "utf8");
const lines = [...page.matchAll(/^ACL SETUSER .*$/gm)].map(([line]) => line.split(" "));
const [app = [], indexed = [], operator = [], watcher = []] = lines;
/** What the table adds for a part of the store. */
const added = (to: string) => {
  const row = page.split("\n").find((line) => line.startsWith("|") && line.includes(to)) ?? "";
  return (/\| `([^`]*)` \|$/.exec(row)?.[1] ?? "").replaceAll("\\|", "|").split(" ");
};

let server: Server;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server?.stop());
const closings: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closings.splice(0)) await close();
});

/** Makes the user of a line; nothing is denied to anybody yet. */
async function allow(line: readonly string[], ...more: string[]): Promise<void> {
  await server.command("FLUSHALL");
  await server.command(...line, ...more);
  await server.command("ACL", "LOG", "RESET");
}

/** What was denied since, but that clients tell their names, which is no part of the work. */
async function denied(): Promise<unknown[]> {
  const log = (await server.command("ACL", "LOG")) as unknown[][];
  return log
    .map((entry) => entry[entry.indexOf("object") + 1])
    .filter((object) => !String(object).startsWith("client|set"));
}

const storeOf = async (
  open: (typeof plain)[number]["open"],
  line: readonly string[],
  options: Partial<RedisStoreOptions> = {},
) => {
  const opened: Opened = await open({
    port: server.port,
    username: line[2] as string,
    password: "secret",
  });
  const store = new RedisStore({ touchAfter: 0, ...options, client: opened.client });
  closings.push(() => {
    store.close();
    return opened.close();
  });
  return store;
};

const one = plain.find(({ name }) => name === "redis 6") as (typeof plain)[number];

const userId = (session: object) => (session as AppSession).user as string | undefined;

/** All that an app does with sessions. */
async function work(store: RedisStore, other: RedisStore): Promise<void> {
  expect(await store.set("sid", sessionOf({ user: "ada" }))).toBe("OK");
  const [mine, theirs] = [await store.get("sid"), await other.get("sid")];
  Object.assign(theirs as object, { b: 2 });
  await other.set("sid", theirs as never);
  Object.assign(mine as object, { a: 1 });
  expect(await store.set("sid", mine as never)).toMatch(/OK|MERGED/);
  expect(await store.touch("sid", (await store.get("sid")) as never)).toBe("OK");
  await store.touch("nobody", sessionOf());
  expect(await store.ping()).toBeGreaterThan(0);
  expect(await store.destroy("sid")).toBe(1);
  expect(await store.set("sid", mine as never)).toBe("GONE");
}

const ways: [string, Partial<RedisStoreOptions>][] = [
  ["merging", {}],
  ["the last writer wins", { conflict: "overwrite" }],
  ["deadlines", { rolling: false, absoluteTtl: 600 }],
  ["no expiry", { disableTTL: true }],
];

test("the page has a line for each of them, which begins with reset", () => {
  expect(lines.map(([, , name]) => name)).toEqual(["app", "app", "operator", "watcher"]);
  for (const line of lines) expect(line.slice(3, 6)).toEqual(["reset", "on", ">secret"]);
  for (const line of [app, indexed]) expect(line).not.toContain("+scan");
});

test("a line takes away what its user might do before", async () => {
  await server.command("ACL", "SETUSER", "app", "on", "~*", "+@all");
  await allow(app);
  const can = (...command: string[]) => server.command("ACL", "DRYRUN", "app", ...command);
  expect(await can("GET", "sess:a")).toBe("OK");
  for (const command of [
    ["GET", "other:a"],
    ["SCAN", "0"],
    ["KEYS", "*"],
    ["CONFIG", "GET", "*"],
    ["CLIENT", "KILL", "ID", "1"],
    ["FLUSHALL"],
  ]) {
    expect(String(await can(...command))).toMatch(/no permissions/i);
  }
});

describe.each(plain)("with $name", ({ open }) => {
  test.each(ways)("the app works: %s", async (_, options) => {
    await allow(app);
    await work(await storeOf(open, app, options), await storeOf(open, app, options));
    expect(await denied()).toEqual([]);
  });

  test.each(ways)("the app finds and ends the sessions of a user: %s", async (_, options) => {
    await allow(indexed);
    const all = { ...options, userId };
    const store = await storeOf(open, indexed, all);
    await work(store, await storeOf(open, indexed, all));
    for (const sid of ["a", "b", "c", "d"]) await store.set(sid, sessionOf({ user: "ada" }));
    expect(await store.sessionsOf("ada")).toHaveLength(4);
    expect(await store.destroyOf("ada", store.handleOf("d"))).toBe(1);
    const limited = { ...all, maxSessionsPerUser: 3 };
    await (await storeOf(open, indexed, limited)).set("e", sessionOf({ user: "ada" }));
    const strict = await storeOf(open, indexed, { ...limited, onLimit: "reject" });
    expect(await refusal(strict.set("f", sessionOf({ user: "ada" })))).toMatchObject({
      code: "ERR_TOO_MANY_SESSIONS",
    });
    expect(await store.destroyAllOf("ada", { except: "e" })).toBe(2);
    expect(await denied()).toEqual([]);
  });

  test("the app lists nothing, and sees no other key", async () => {
    await allow(indexed);
    const store = await storeOf(open, indexed, { userId });
    await store.set("sid", sessionOf());
    const foreign = await storeOf(open, indexed, { prefix: "other:" });
    for (const asked of [
      store.length(),
      store.ids(),
      store.all(),
      store.clear(),
      store.page(),
      store.sessions().next(),
      foreign.get("sid"),
    ]) {
      expect(await refusal(asked)).toMatchObject({ code: "ERR_NO_PERMISSION" });
    }
    expect(await store.get("sid")).not.toBeNull();
  });

  test("the operator lists and ends all sessions", async () => {
    await allow(operator);
    const store = await storeOf(open, operator, { userId });
    const bare = await storeOf(open, operator);
    await work(store, await storeOf(open, operator, { userId }));
    for (const sid of ["a", "b", "c"]) await store.set(sid, sessionOf({ user: "ada" }));
    await bare.set("unlisted", sessionOf({ user: "ada" }));
    expect(await store.length()).toBe(4);
    expect(await store.ids()).toHaveLength(4);
    expect(await store.all()).toHaveLength(4);
    expect((await store.page()).entries).toHaveLength(4);
    for await (const { sid } of store.sessions()) if (sid === "a") await store.destroy(sid);
    expect(await store.sessionsOf("ada")).toHaveLength(2);
    expect(await store.destroyAllOf("ada", { except: ["c"], scan: true })).toBe(2);
    expect(await store.clear()).toBe(1);
    expect(await denied()).toEqual([]);
  });
});

const listening = plain.filter(({ name }) => !name.includes("glide"));
describe.each(listening)("with $name", ({ open }) => {
  beforeEach(() => server.command("CONFIG", "SET", "notify-keyspace-events", "Kg$xen"));

  test("the watcher hears of sessions and of nothing else, and reads none", async () => {
    await allow(watcher);
    const store = await storeOf(open, watcher);
    const heard: string[] = [];
    const events = await store.watch();
    events.on("created", (sid) => heard.push(`created ${sid}`));
    events.on("destroyed", (sid) => heard.push(`destroyed ${sid}`));
    for (const key of ["sess:a", "other:a"]) {
      await server.command("SET", key, "{}", "PX", "60000");
      await server.command("DEL", key);
    }
    await until(() => heard.length === 2);
    expect(heard).toEqual(["created a", "destroyed a"]);
    expect(await denied()).toEqual([]);
    for (const asked of [store.get("a"), store.length()]) {
      expect(await refusal(asked)).toMatchObject({ code: "ERR_NO_PERMISSION" });
    }
  });

  test("the watcher turns the announcements on, where it may", async () => {
    await server.command("CONFIG", "SET", "notify-keyspace-events", "");
    await allow(watcher, "+config|set");
    await (await storeOf(open, watcher)).watch();
    expect(await denied()).toEqual([]);
  });

  test("the watcher that may not ask for the setting finds out by a key of its own", async () => {
    const [, own = ""] = /: `(~watch-of[^`]*)` in the place/.exec(page) ?? [];
    await allow(
      watcher.filter((rule) => rule !== "+config|get"),
      ...own.split(" "),
    );
    await (await storeOf(open, watcher)).watch();
    expect(await denied()).toEqual(["config|get"]);
  });
});

test("another tenant, as docs/security.md restricts it, sees and ends nothing", async () => {
  const text = readFileSync(resolve(__dirname, "../../docs/security.md"), "utf8");
  const [tenant = ""] = /^ACL SETUSER tenant .*$/m.exec(text) ?? [];
  await allow(tenant.split(" "));
  await server.command("SET", "sess:sid", "SECRET");
  const own = createClient({ url: server.url, username: "tenant", password: "secret", RESP: 2 });
  own.on("error", () => {});
  await own.connect();
  try {
    await own.set("tenant:mine", "1");
    expect(await own.get("tenant:mine")).toBe("1");
    for (const command of [
      ["GET", "sess:sid"],
      ["DEL", "sess:sid"],
      ["RENAME", "sess:sid", "tenant:stolen"],
      ["COPY", "sess:sid", "tenant:stolen"],
      ["SORT", "tenant:mine", "BY", "nosort", "GET", "sess:*"],
      ["EVAL", "return redis.call('GET', 'sess:sid')", "0"],
      ["EVAL", "return redis.call('SCAN', '0')", "0"],
      ["SCAN", "0"],
      ["KEYS", "*"],
      ["RANDOMKEY"],
      ["MONITOR"],
      ["SLOWLOG", "GET"],
      ["FLUSHALL"],
      ["FLUSHDB"],
      ["SWAPDB", "0", "1"],
      ["PSUBSCRIBE", "__keyspace@0__:*"],
      ["CLIENT", "LIST"],
      ["CONFIG", "GET", "*"],
      ["CLIENT", "TRACKING", "ON", "BCAST"],
      ["CLUSTER", "GETKEYSINSLOT", "0", "10"],
    ]) {
      const refused = await own.sendCommand(command).then(String, (error: Error) => error.message);
      expect([command[0], refused]).toEqual([
        command[0],
        expect.stringMatching(/NOPERM|ACL failure|permission|can't (run|access)/i),
      ]);
    }
    expect(await server.command("GET", "sess:sid")).toBe("SECRET");
  } finally {
    own.destroy();
  }
});

test("the cache needs what the table says", async () => {
  await allow(app, ...added("`cache`"));
  const { open } = one;
  const store = await storeOf(open, app, { cache: { max: 100 } });
  await work(store, await storeOf(open, app));
  await store.set("sid", sessionOf());
  // From memory: Redis is no longer asked.
  await until(async () => {
    await store.get("sid");
    await server.command("CONFIG", "RESETSTAT");
    await store.get("sid");
    return !String(await server.command("INFO", "commandstats")).includes("cmdstat_get:");
  });
  expect(await denied()).toEqual([]);
});

test("endings need what the table says", async () => {
  await allow(indexed, ...added("`endings`"));
  const store = await storeOf(one.open, indexed, { userId, endings: { keepFor: 60 } });
  await store.set("sid", sessionOf({ user: "ada" }));
  await store.destroyAllOf("ada");
  expect(await store.whyGone("sid")).toMatchObject({ reason: "revoked" });
  expect(await denied()).toEqual([]);
});
