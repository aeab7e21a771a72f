import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { RedisStore } from "../../lib/index.js";
import { type Build, build } from "../support/build.js";
import type { Ran } from "../support/command.js";
import { type Server, startServer } from "../support/servers.js";
import { type AppSession, connect, sessionOf, type TestClient, until } from "../support/store.js";

let built: Build;
let server: Server;
let store: RedisStore<TestClient>;
let folder: string;
let env: Record<string, string>;

beforeAll(async () => {
  [built, server] = await Promise.all([
    build(),
    startServer({ args: ["--notify-keyspace-events", "Kg$xen"] }),
  ]);
  // The examples import the package by its name.
  const self = { name: "redis-session-store", type: "module", exports: { ".": "./index.js" } };
  await writeFile(join(built.dir, "package.json"), JSON.stringify(self));
  await cp(resolve(__dirname, "../../examples"), join(built.dir, "examples"), { recursive: true });
  folder = join(built.dir, "examples/operating");
  store = new RedisStore({
    client: await connect(6, server.url),
    userId: (session) => (session as AppSession).user as string | undefined,
    endings: { keepFor: 60 },
  });
});
afterAll(() => Promise.allSettled([server?.stop(), built?.remove()]));
beforeEach(async () => {
  env = { REDIS_URL: server.url };
  await server.command("FLUSHALL");
});

function spawned(example: string, ...args: string[]): ChildProcess {
  return spawn(process.execPath, [join(folder, example), ...args], {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ["pipe", "pipe", "pipe"],
  });
}

/** Runs an example to its end. */
async function run(example: string, args: string[] = [], input = ""): Promise<Ran> {
  const child = spawned(example, ...args);
  let stdout = "";
  let stderr = "";
  child.stdout?.on("data", (part) => {
    stdout += String(part);
  });
  child.stderr?.on("data", (part) => {
    stderr += String(part);
  });
  child.stdin?.end(input);
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout, stderr };
}

test("end-everyone: after a leak no session is left, and each knows why", async () => {
  for (let n = 0; n < 150; n++) await store.set(`sid${n}`, sessionOf({ user: `user${n % 7}` }));
  const asked = await run("end-everyone.js", ["a leak"]);
  expect(asked.stdout).toContain("150 sessions would be ended");
  expect(await store.length()).toBe(150);
  const done = await run("end-everyone.js", ["a leak", "--yes"]);
  expect(done).toMatchObject({ code: 0, stdout: "150 sessions ended, 0 left\n" });
  expect(await store.sessionsOf("user3")).toEqual([]);
  expect(await store.whyGone("sid149")).toMatchObject({ reason: "revoked", because: "a leak" });
});

test("rotate-keys: every session moves to the new key before the old one leaves", async () => {
  env.SESSION_KEYS = join(built.dir, "keys.json");
  const keys = async (...args: string[]) => {
    const { code, stdout, stderr } = await run("rotate-keys.js", args);
    return code === 0 ? stdout : stderr;
  };
  await keys("add", "old");
  const written = JSON.parse(await readFile(env.SESSION_KEYS, "utf8")) as {
    keys: Record<string, string>;
    write: string;
  };
  const sealed = new RedisStore({
    client: store.client,
    userId: (session) => (session as AppSession).user as string | undefined,
    encryption: { ...written, plaintextUntil: null },
  });
  for (const sid of ["a", "b", "c"]) await sealed.set(sid, sessionOf({ user: "ada" }));
  expect(await keys("status")).toBe("old: 3 sessions\nnew ones: old\n");
  await keys("add", "new");
  expect(await keys("status")).toContain("new ones: old");
  expect(await keys("drop", "old")).toContain("old seals");
  await keys("write", "new");
  expect(await keys("drop", "old")).toContain("3 sessions are sealed under old");

  // The command as it runs, on the options of the same file.
  const cli = join(built.dir, "cli/index.js");
  const migrate = spawn(process.execPath, [cli, "migrate", "--config", "store.config.js"], {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: "ignore",
  });
  expect(await once(migrate, "close")).toEqual([0, null]);
  expect(await keys("drop", "old")).toBe("");
  expect(await keys("status")).toBe("new: 3 sessions\nnew ones: new\n");
  await rm(env.SESSION_KEYS);
});

test("who-fills-memory: the user, the key and the session that are largest come first", async () => {
  for (let n = 0; n < 40; n++) await store.set(`small${n}`, sessionOf({ user: `user${n}` }));
  for (let n = 0; n < 5; n++) {
    await store.set(`many${n}`, sessionOf({ user: "hoarder", cart: "x".repeat(9000) }));
  }
  await store.set("big", sessionOf({ upload: "x".repeat(20_000) }));
  const { stdout } = await run("who-fills-memory.js");
  const [, users = "", keys = "", sessions = ""] = stdout.split(/^\w+:$/m);
  const first = (part: string) => part.trim().split("\n")[0];
  expect(stdout).toMatch(/^46 sessions, \d+ bytes\n/);
  expect(first(users)).toMatch(/hoarder$/);
  expect(first(keys)).toMatch(/cart$/);
  expect(first(sessions)).toContain(store.handleOf("big"));
  expect(stdout).not.toMatch(/small|many\d/);
});

test("follow-user: a login, a change and an ending of this user, and of nobody else", async () => {
  await store.set("first", sessionOf({ user: "ada" }));
  const child = spawned("follow-user.js", "ada");
  const lines: string[] = [];
  createInterface(child.stdout as NodeJS.ReadableStream).on("line", (line) => lines.push(line));
  const told = (what: string, sid: string) =>
    until(() => lines.some((line) => line.endsWith(`${what} ${store.handleOf(sid)}`)));
  try {
    await until(() => lines.includes("following ada"));
    await told("is there", "first");
    await store.set("others", sessionOf({ user: "bob" }));
    await store.set("second", sessionOf({ user: "ada" }));
    await told("is there", "second");
    const session = await store.get("second");
    if (session === null) throw new Error("it is there");
    (session as AppSession).n = 2;
    await store.set("second", session);
    await told("updated", "second");
    await store.destroy("second", { because: "stolen" });
    await told("destroyed (revoked: stolen)", "second");
    expect(lines.join()).not.toContain(store.handleOf("others"));
    expect(lines.join()).not.toMatch(/first|second/);
  } finally {
    child.kill();
    await once(child, "close");
  }
});

test("export and import: to another store, and back", async () => {
  await store.set("ada's", sessionOf({ user: "ada", cart: { "1": "Tea" } }));
  await store.set("bob's", sessionOf({ user: "bob" }));
  await server.command("PEXPIRE", "sess:bob's", "100000");
  const before = await store.get("ada's");
  const exported = await run("export-sessions.js");
  expect(exported).toMatchObject({ code: 0, stderr: "2 sessions\n" });
  expect(exported.stdout.trim().split("\n")).toHaveLength(2);

  // Another store of express-session: here connect-redis, on keys of its own.
  await writeFile(
    join(folder, "new-store.js"),
    `import { RedisStore } from "connect-redis";
import { createClient } from "redis";
const client = await createClient({ url: process.env.REDIS_URL }).connect();
export default new RedisStore({ client, prefix: "other:" });
`,
  );
  const there = await run("import-sessions.js", ["./new-store.js"], exported.stdout);
  expect(there).toMatchObject({ code: 0, stderr: "2 read, 0 there already, 0 over\n" });
  expect(JSON.parse(String(await server.command("GET", "other:ada's")))).toMatchObject({
    user: "ada",
    cart: { "1": "Tea" },
  });
  expect(Number(await server.command("PTTL", "other:bob's"))).toBeLessThanOrEqual(100_000);

  await store.clear();
  const back = await run("import-sessions.js", [], exported.stdout);
  expect(back.stderr).toBe("2 read, 0 there already, 0 over\n");
  expect(await store.get("ada's")).toMatchObject({ ...before, cookie: expect.anything() });
  const left = Number(await server.command("PTTL", "sess:bob's"));
  expect(left).toBeGreaterThan(0);
  expect(left).toBeLessThanOrEqual(100_000);
  expect((await store.sessionsOf("bob")).map(({ sid }) => sid)).toEqual(["bob's"]);
  const again = await run("import-sessions.js", [], exported.stdout);
  expect(again.stderr).toBe("0 read, 2 there already, 0 over\n");

  const over = `${JSON.stringify({ sid: "x", expires: new Date(0), session: sessionOf() })}\n`;
  expect((await run("import-sessions.js", [], over)).stderr).toContain("1 over");
});
