import { once } from "node:events";
import { RedisStore } from "../../lib/index.js";
import { type Packed, pack } from "../support/app-folder.js";
import { command, onTerminal, type Ran, type Setting, spawnCommand } from "../support/command.js";
import { startProxy } from "../support/proxy.js";
import { type Server, startServer } from "../support/servers.js";
import { type AppSession, connect, rawOf, sessionOf, until } from "../support/store.js";

const SECRET = "sid-that-nobody-may-see";
const CONFIG = `
import { createClient } from "redis";
export default () => ({
  client: createClient({ url: process.env.SERVER }),
  userId: (session) => session.user,
  endings: { keepFor: 60 },
});
`;
const SEALED = CONFIG.replace(
  "endings",
  `encryption: { keys: { k1: Buffer.alloc(32, 1) }, write: "k1", plaintextUntil: new Date(Date.now() + 600_000) }, endings`,
);

let packed: Packed;
let cwd: string;
let server: Server;
let store: RedisStore;
let raw: ReturnType<typeof rawOf>;

beforeAll(async () => {
  [packed, server] = await Promise.all([pack(), startServer()]);
  cwd = await packed.app(
    { "store.mjs": CONFIG, "sealed.mjs": SEALED, "package.json": '{ "type": "module" }' },
    { redis: "redis" },
  );
});
afterAll(async () => {
  await Promise.all([packed.remove(), server.stop()]);
});
beforeEach(async () => {
  await server.command("FLUSHALL");
  const client = await connect(6, server.url);
  store = new RedisStore({
    client,
    userId: (session) => (session as AppSession).user as string | undefined,
    endings: { keepFor: 60 },
  });
  raw = rawOf(client);
});

function setting(more: Partial<Setting> = {}): Setting {
  return { cwd, ...more, env: { REDIS_URL: server.url, SERVER: server.url, ...more.env } };
}
const run = (...args: string[]): Promise<Ran> => command(args, setting());
const configured = (...args: string[]): Promise<Ran> => run(...args, "--config", "store.mjs");

describe("list", () => {
  test("prints a line for each session, by its handle", async () => {
    await store.set(SECRET, sessionOf({ user: "ada", token: "content" }));
    const { code, stdout, stderr } = await run("list");
    expect(code).toBe(0);
    expect(stdout).toContain(store.handleOf(SECRET));
    expect(stdout + stderr).not.toContain(SECRET);
    expect(stdout + stderr).not.toContain("content");
    expect(stderr).toContain("1 sessions");
  });

  test("as JSON is one object a line, with nothing else on stdout", async () => {
    for (let n = 0; n < 3; n++) await store.set(`sid${n}`, sessionOf({ user: "ada" }));
    const { stdout } = await configured("list", "--json");
    const rows = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { user: string });
    expect(rows).toHaveLength(3);
    expect(rows[0]).toMatchObject({ user: "ada", bytes: expect.any(Number), keyId: null });
  });

  test("of a user, up to a limit", async () => {
    for (const [sid, user] of [
      ["a", "ada"],
      ["b", "bob"],
      ["c", "ada"],
    ] as const) {
      await store.set(sid, sessionOf({ user }));
    }
    const { stdout } = await configured("list", "--user", "ada", "--json");
    expect(stdout.trim().split("\n")).toHaveLength(2);
    const limited = await configured("list", "--limit", "1", "--json");
    expect(limited.stdout.trim().split("\n")).toHaveLength(1);
  });

  test("the largest first, and no more than were asked for", async () => {
    for (const size of [1, 300, 20, 4000, 5]) {
      await store.set(`sid${size}`, sessionOf({ fill: "x".repeat(size) }));
    }
    const { code, stdout, stderr } = await configured("list", "--largest", "2");
    expect(code).toBe(0);
    const handles = stdout.split("\n").map((line) => line.slice(0, 44));
    expect(handles).toEqual([store.handleOf("sid4000"), store.handleOf("sid300"), ""]);
    expect(stderr).toContain("5 sessions");
  });

  test("says how many are logged in, and how many keys hold no session", async () => {
    await store.set("a", sessionOf({ user: "ada" }));
    await store.set("b", sessionOf());
    await raw.set("sess:broken", "no session");
    const { stderr } = await configured("list");
    expect(stderr).toContain("2 sessions, 1 of them logged in");
    expect(stderr).toContain("1 keys of this prefix hold no session that can be read");
  });

  test("a reader that has seen enough is no error", async () => {
    for (let n = 0; n < 200; n++) await store.set(`sid${n}`, sessionOf());
    const child = spawnCommand(["list"], setting());
    child.stdout.once("data", () => child.stdout.destroy());
    const [code] = (await once(child, "close")) as [number];
    expect(code).toBe(0);
  });
});

describe("show", () => {
  test("shows content as types and sizes", async () => {
    await store.set(SECRET, sessionOf({ cart: { apples: 3 }, note: "private" }));
    const { code, stdout } = await run("show", store.handleOf(SECRET));
    expect(code).toBe(0);
    expect(stdout).toMatch(/\/cart\/apples\s+number\s+1 B/);
    expect(stdout).toMatch(/\/note\s+string\s+9 B/);
    expect(stdout).not.toContain("private");
    expect(stdout).not.toContain(SECRET);
  });

  test("shows values where they are asked for, with control characters escaped", async () => {
    await store.set("sid", sessionOf({ "\u001b]0;title\u0007": "\u001b[2J\u202e" }));
    const { stdout } = await run("show", store.handleOf("sid"), "--values");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: none of them may come through
    expect(stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e]/);
    expect(stdout).toContain("u{1b}");
  });

  test("takes the id of a session, or its cookie, by standard input alone", async () => {
    await store.set("the-sid", sessionOf({ n: 1 }));
    for (const input of ["the-sid\n", "s:the-sid.signature", "s%3Athe-sid.signature"]) {
      const { stdout } = await command(["show", "-"], setting({ input }));
      expect(stdout).toContain(store.handleOf("the-sid"));
    }
    const named = await run("show", "the-sid");
    expect(named.code).toBe(2);
    expect(named.stderr).not.toContain("the-sid");
  });

  test("of a handle that there is none of fails", async () => {
    expect(await run("show", store.handleOf("none"))).toMatchObject({ code: 4, stdout: "" });
  });
});

describe("end", () => {
  test("asks on a terminal, and ends nothing without a yes", async () => {
    await store.set("sid", sessionOf());
    const handle = store.handleOf("sid");
    const kept = await onTerminal(["end", handle], setting(), "n");
    expect(kept.screen).toContain("End the session");
    expect(kept.code).toBe(4);
    expect(await store.length()).toBe(1);
    expect(await onTerminal(["end", handle], setting(), "y")).toMatchObject({ code: 0 });
    expect(await store.length()).toBe(0);
  });

  test("without a terminal and without --yes ends nothing", async () => {
    await store.set("sid", sessionOf());
    const { code, stderr } = await run("end", "--all");
    expect(code).toBe(2);
    expect(stderr).toContain("--yes");
    expect(await store.length()).toBe(1);
  });

  test("all of a user but one, with a reason that why tells", async () => {
    for (const sid of ["a", "b", "c"]) await store.set(sid, sessionOf({ user: "ada" }));
    await store.set("d", sessionOf({ user: "bob" }));
    const ended = await configured(
      ...["end", "--user", "ada", "--except", store.handleOf("b"), "--because", "leak", "--yes"],
    );
    expect(ended).toMatchObject({ code: 0, stdout: "2 ended\n" });
    expect((await store.ids()).sort()).toEqual(["b", "d"]);
    const why = await configured("why", store.handleOf("a"), "--json");
    expect(JSON.parse(why.stdout)).toMatchObject({ reason: "revoked", because: "leak" });
  });

  test("of a user never ends another user's", async () => {
    await store.set("b", sessionOf({ user: "bob" }));
    const handle = store.handleOf("b");
    const { code } = await configured("end", handle, "--user", "ada", "--yes");
    expect(code).toBe(4);
    expect(await store.length()).toBe(1);
  });

  test("all", async () => {
    for (let n = 0; n < 5; n++) await store.set(`sid${n}`, sessionOf());
    expect(await run("end", "--all", "--yes", "--json")).toMatchObject({
      code: 0,
      stdout: '{"ended":5}\n',
    });
    expect(await store.length()).toBe(0);
  });
});

test("on a terminal what takes more than a second shows how far it is, and colours are shown", async () => {
  await Promise.all(
    Array.from({ length: 3000 }, (_, n) => raw.set(`sess:sid${n}`, JSON.stringify(sessionOf()))),
  );
  const far = await startProxy(Number(new URL(server.url).port));
  far.delay(200);
  try {
    const env = { REDIS_URL: far.url };
    const { screen } = await onTerminal(["show", store.handleOf("none")], setting({ env }), "");
    expect(screen).toMatch(/looked at \d+ sessions/);
    expect(screen).toContain("there is no session");
  } finally {
    await far.stop();
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a colour begins with one
  const colour = /\u001b\[\d+m/;
  const heads = async (env: Record<string, string>) =>
    (await onTerminal(["list", "--limit", "1"], setting({ env }), "")).screen;
  expect(await heads({})).toMatch(colour);
  const plain = await heads({ NO_COLOR: "1" });
  expect(plain).toContain("handle");
  expect(plain).not.toMatch(colour);
});

test("migrate seals and indexes what is there, as often as it is run, and keeps its life", async () => {
  const plain = new RedisStore({ client: store.client });
  await plain.set("old", sessionOf({ user: "ada", n: 1 }));
  await raw.send("PEXPIRE", "sess:old", "50000");
  for (const sealed of [1, 0]) {
    const { code, stdout } = await run("migrate", "--config", "sealed.mjs", "--json");
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ seen: 1, sealed, indexed: sealed, unreadable: 0 });
  }
  expect(await raw.get("sess:old")).toMatch(/^rss1\.k1\./);
  expect(await raw.pttl("sess:old")).toBeLessThanOrEqual(50_000);
  const listed = await run("list", "--user", "ada", "--config", "sealed.mjs", "--json");
  expect(JSON.parse(listed.stdout)).toMatchObject({ keyId: "k1", user: "ada" });
});

describe("Ctrl-C", () => {
  test("in the middle of an ending leaves nothing half done", async () => {
    const sids = Array.from({ length: 3000 }, (_, n) => `sid${n}`);
    await Promise.all(sids.map((sid) => store.set(sid, sessionOf({ user: "ada" }))));
    const named = sids.slice(0, 1000).map((sid) => store.handleOf(sid));
    const child = spawnCommand(
      ["end", ...named, "--user", "ada", "--yes", "--config", "store.mjs"],
      setting(),
    );
    const exit = once(child, "exit");
    await until(async () => (await store.length()) < 2990);
    child.kill("SIGINT");
    expect(await exit).toEqual([130, null]);
    const left = await store.ids();
    expect(left.length).toBeGreaterThan(2000);
    // What is left is whole: each is listed, each can be ended, and nothing else is listed.
    const listed = (await store.sessionsOf("ada")).map(({ sid }) => sid);
    expect(listed.toSorted()).toEqual(left.toSorted());
    const gone = sids.filter((sid) => !left.includes(sid));
    expect(await store.whyGone(gone[0] as string)).toMatchObject({ reason: "revoked" });
    const again = await configured("end", "--user", "ada", "--yes");
    expect(again.stdout).toBe(`${left.length} ended\n`);
    expect(await store.length()).toBe(0);
  });

  test("ends it at once, also while it waits for a reader", async () => {
    // More than the pipe and the streams hold.
    await Promise.all(
      Array.from({ length: 5000 }, (_, n) => raw.set(`sess:sid${n}`, JSON.stringify(sessionOf()))),
    );
    const child = spawnCommand(["list", "--json"], setting());
    // Nobody reads on: it waits.
    await once(child.stdout, "readable");
    child.kill("SIGINT");
    const [code] = (await once(child, "exit")) as [number];
    expect(code).toBe(130);
    child.stdout.destroy();
  });
});
