import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { RedisStore } from "../../lib/index.js";
import { type Packed, pack } from "../support/app-folder.js";
import { command, onTerminal, type Ran, type Setting, spawnCommand } from "../support/command.js";
import { type Server, startServer } from "../support/servers.js";
import { type AppSession, connect, rawOf, sessionOf } from "../support/store.js";

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
}, 60_000);
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

describe("usage and connection", () => {
  test.each([
    [[], 2],
    [["--help"], 0],
    [["doctor", "--help"], 0],
    [["nonsense"], 2],
    [["list", "--nonsense"], 2],
    [["list", "--limit", "0"], 2],
    [["list", "--user", "ada"], 2],
    [["end"], 2],
    [["migrate"], 2],
    [["list", "--config", "none.mjs"], 2],
    [["list", "--url", "http://127.0.0.1"], 2],
  ])("%j ends with %d", async (args, code) => {
    expect(await run(...args)).toMatchObject({ code });
  });

  test("each help fits a screen", async () => {
    for (const part of ["", "doctor", "list", "show", "end", "why", "migrate"]) {
      const { stdout } = await run(...(part ? [part] : []), "--help");
      const lines = stdout.trimEnd().split("\n");
      expect(lines.length).toBeLessThanOrEqual(24);
      expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
    }
  });

  test("a password on the command line is refused and not printed", async () => {
    const { code, stdout, stderr } = await run("list", "--url", "redis://:pass-word@127.0.0.1");
    expect(code).toBe(2);
    expect(stdout + stderr).not.toContain("pass-word");
  });

  test("a wrong password is no connection, and is not printed", async () => {
    const locked = await startServer({ args: ["--aclfile", ""] });
    await locked.command("ACL", "SETUSER", "default", "on", "resetpass", ">right");
    try {
      const url = locked.url.replace("redis://", "redis://:wrong-one@");
      const ran = await command(["list"], setting({ env: { REDIS_URL: url } }));
      expect(ran.code).toBe(3);
      expect(ran.stdout + ran.stderr).not.toContain("wrong-one");
      expect(ran.stderr).toMatch(/WRONGPASS/);
    } finally {
      await locked.stop();
    }
  });

  test("a Redis that is not there, and one that never answers, are no connection", async () => {
    expect(
      await command(["list"], setting({ env: { REDIS_URL: "redis://127.0.0.1:1" } })),
    ).toMatchObject({
      code: 3,
    });
    const open = new Set<Socket>();
    const silent = createServer((socket) => open.add(socket)).listen(0, "127.0.0.1");
    await once(silent, "listening");
    const { port } = silent.address() as { port: number };
    const env = { REDIS_URL: `redis://127.0.0.1:${port}` };
    expect(await command(["list"], setting({ env }))).toMatchObject({ code: 3 });
    for (const socket of open) socket.destroy();
    silent.close();
  });

  test("Ctrl-C ends it at once", async () => {
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
