import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, rmdir } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { createClient } from "redis";
import { startRedis } from "../../tools/redis-server.js";

const alive = (pid: number) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await delay(20);
}

test("a server answers as soon as it is handed over, and is gone after stop", async () => {
  const server = await startRedis({ args: ["--maxmemory", "3mb"] });
  const client = await createClient({ url: server.url }).connect();
  expect(await client.configGet("maxmemory")).toEqual({ maxmemory: String(3 << 20) });
  expect(await client.configGet("save")).toEqual({ save: "" });
  const { dir = "" } = await client.configGet("dir");
  expect(dir.startsWith(tmpdir())).toBe(true);
  client.destroy();

  await server.stop();
  await server.stop();
  expect(alive(server.pid)).toBe(false);
  expect(existsSync(dir)).toBe(false);
});

test("a frozen server is stopped too, and without force", async () => {
  const server = await startRedis();
  expect(server.kill("SIGSTOP")).toBe(true);
  await server.stop();
  expect(alive(server.pid)).toBe(false);
  expect(server.process.signalCode).toBeNull();
});

test("a killed server can be started again on its port", async () => {
  const first = await startRedis({ args: ["--requirepass", "secret"] });
  first.kill();
  await first.stop();
  const second = await startRedis({ port: first.port });
  expect(second.url).toBe(first.url);
  await second.stop();
});

test("a port that another program owns is an error with the reason of the server", async () => {
  const owner = createServer().listen(0, "127.0.0.1");
  await once(owner, "listening");
  const { port } = owner.address() as { port: number };
  await expect(startRedis({ port })).rejects.toThrow(/did not become ready:[\s\S]*already in use/);
  owner.close();
});

test("a port that another Redis owns is not taken for the new one", async () => {
  const owner = await startRedis();
  await expect(startRedis({ port: owner.port })).rejects.toThrow("already in use");
  expect(alive(owner.pid)).toBe(true);
  await owner.stop();
});

test.each(["SIGINT", "SIGKILL"] as const)("no server outlives its parent: %s", async (signal) => {
  const tool = pathToFileURL(require.resolve("../../tools/redis-server.js")).href;
  const code = `
    import { startRedis } from ${JSON.stringify(tool)};
    const server = await startRedis();
    console.log(server.pid);
    setInterval(() => {}, 1000);
  `;
  const home = await mkdtemp(join(tmpdir(), "redis-server-test-"));
  const parent = spawn(process.execPath, ["--input-type=module", "-e", code], {
    env: { ...process.env, TMPDIR: home },
  });
  const [line] = (await once(parent.stdout, "data")) as [Buffer];
  const pid = Number(line.toString());
  expect(alive(pid)).toBe(true);
  expect(await readdir(home)).toHaveLength(1);

  parent.kill(signal);
  await until(() => !alive(pid));
  await until(async () => (await readdir(home)).length === 0);
  await rmdir(home);
});

test("a guard that was released leaves the process alone", async () => {
  const tool = pathToFileURL(require.resolve("../../tools/guard.js")).href;
  const code = `
    import { spawn } from "node:child_process";
    import { guard } from ${JSON.stringify(tool)};
    const sleeper = spawn("sleep", ["30"], { detached: true, stdio: "inherit" });
    guard(sleeper.pid)();
    console.log(sleeper.pid);
    process.exit();
  `;
  const parent = spawn(process.execPath, ["--input-type=module", "-e", code]);
  const [line] = (await once(parent.stdout, "data")) as [Buffer];
  // The output they share stays open for as long as the sleeper lives.
  const closed = once(parent, "close").then(() => "closed");
  await once(parent, "exit");
  expect(await Promise.race([closed, delay(300, "open")])).toBe("open");
  process.kill(Number(line.toString()), "SIGKILL");
  await closed;
});
