import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { type Packed, pack } from "../support/app-folder.js";
import { command, type Ran, type Setting } from "../support/command.js";
import { type Server, startServer } from "../support/servers.js";

let packed: Packed;
let cwd: string;
let server: Server;

beforeAll(async () => {
  [packed, server] = await Promise.all([pack(), startServer()]);
  cwd = await packed.app({ "package.json": '{ "type": "module" }' }, { redis: "redis" });
});
afterAll(() => Promise.all([packed.remove(), server.stop()]));

function setting(more: Partial<Setting> = {}): Setting {
  return { cwd, ...more, env: { REDIS_URL: server.url, ...more.env } };
}
const run = (...args: string[]): Promise<Ran> => command(args, setting());

test.each([
  [[], 2],
  [["--help"], 0],
  [["doctor", "--help"], 0],
  [["nonsense"], 2],
  [["list", "--nonsense"], 2],
  [["list", "--limit", "0"], 2],
  [["list", "--largest", "x"], 2],
  [["list", "--limit", "1", "--largest", "1"], 2],
  [["list", "--user", "ada"], 2],
  [["end"], 2],
  [["migrate"], 2],
  [["list", "--config", "none.mjs"], 2],
  [["list", "--url", "http://127.0.0.1"], 2],
])("%j ends with %d", async (args, code) => {
  expect(await run(...args)).toMatchObject({ code });
});

test("each help fits a screen", async () => {
  const parts = ["", "doctor", "list", "show", "end", "why", "migrate"];
  const helps = await Promise.all(parts.map((part) => run(...(part ? [part] : []), "--help")));
  for (const { stdout } of helps) {
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

describe.each(["redis", "redis4", "ioredis", "iovalkey"])("with the package %s", (name) => {
  let app: string;
  let locked: Server;
  beforeAll(async () => {
    const as = name.replace("4", "");
    app = await packed.app({ "package.json": '{ "type": "module" }' }, { [as]: name });
    locked = await startServer();
    await locked.command("ACL", "SETUSER", "default", "on", "resetpass", ">right%word");
    await locked.command("SET", "sess:one", '{"cookie":{}}');
  });
  afterAll(() => locked.stop());
  const list = (password: string, part = "list") => {
    const env = { REDIS_URL: locked.url.replace("redis://", `redis://:${password}@`) };
    return command([part], { cwd: app, env });
  };

  test("a wrong password is no connection, and is not printed", async () => {
    const { code, stdout, stderr } = await list("wrong%25one");
    expect(code).toBe(3);
    expect(stdout + stderr).not.toMatch(/wrong(%|%25)one/);
    expect(stderr).toMatch(/WRONGPASS/);
  });

  test("the right one connects, and is not printed", async () => {
    const { code, stdout, stderr } = await list("right%25word", "doctor");
    expect([code, stdout]).toEqual([1, expect.stringContaining("sessions: 1,")]);
    expect(stderr).toContain(`looking at ${locked.url}`);
    expect(stdout + stderr).not.toMatch(/right(%|%25)word/);
  });
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
