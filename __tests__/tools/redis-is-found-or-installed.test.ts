import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { access, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { findRedisBinary } from "../../tools/redis-binary.js";

let dir: string;
let lines: string[];
const progress = (line: string) => {
  lines.push(line);
};

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "redis-binary-test-"));
  lines = [];
});
afterEach(() => rm(dir, { recursive: true, force: true }));

async function script(path: string, body: string): Promise<string> {
  const file = join(dir, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `#!/bin/sh\n${body}\n`, { mode: 0o755 });
  return file;
}

const server = (path: string, version = "7.2.4", name = "Redis") =>
  script(path, `echo "${name} server v=${version} sha=00000000:0 bits=64"`);

/** A machine with nothing on it: no Redis, no cache, no apt-get and no network. */
const bare = () => ({
  PATH: "",
  HOME: join(dir, "home"),
  REDISMS_DOWNLOAD_MIRROR: "http://127.0.0.1:1",
});

const folderOf = (tool: string) =>
  (process.env.PATH ?? "").split(":").find((folder) => existsSync(join(folder, tool)));

const none = () => Promise.resolve(undefined);

describe("REDIS_SERVER_BINARY", () => {
  test("wins over the PATH", async () => {
    const named = await server("mine/some-redis");
    await server("bin/redis-server");
    const env = { ...bare(), PATH: join(dir, "bin"), REDIS_SERVER_BINARY: named };
    expect(await findRedisBinary({ env, progress })).toBe(named);
  });

  test.each([
    ["is not there", "missing", "", "cannot be run (ENOENT)"],
    ["is another program", "ls", 'echo "ls (GNU coreutils) 9.1"', "is neither Redis nor Valkey"],
    [
      "is too old",
      "old",
      'echo "Redis server v=6.2.14 sha=0"',
      "is Redis 6.2.14, and 7.0 is the oldest",
    ],
  ])("is an error and not a fallback when it %s", async (_, name, body, reason) => {
    const named = body ? await script(name, body) : join(dir, name);
    await server("bin/redis-server");
    const env = { ...bare(), PATH: join(dir, "bin"), REDIS_SERVER_BINARY: named };
    await expect(findRedisBinary({ env, progress })).rejects.toThrow(
      `REDIS_SERVER_BINARY names "${named}", which ${reason}`,
    );
  });
});

describe("the PATH", () => {
  test("gives redis-server before valkey-server, whatever the order of the folders", async () => {
    await server("first/valkey-server", "8.1.0", "Valkey");
    const redis = await server("second/redis-server");
    const env = { ...bare(), PATH: `${join(dir, "first")}:${join(dir, "second")}` };
    expect(await findRedisBinary({ env, progress })).toBe(redis);
  });

  test("gives valkey-server where there is no redis-server", async () => {
    const valkey = await server("bin/valkey-server", "8.1.0", "Valkey");
    const env = { ...bare(), PATH: join(dir, "bin") };
    expect(await findRedisBinary({ env, progress })).toBe(valkey);
  });

  test("passes over a server that is too old, and says so", async () => {
    const old = await server("bin/redis-server", "5.0.14");
    const valkey = await server("bin/valkey-server", "7.2.5", "Valkey");
    const env = { ...bare(), PATH: join(dir, "bin") };
    expect(await findRedisBinary({ env, progress })).toBe(valkey);
    expect(lines).toEqual([`${old} is Redis 5.0.14, and 7.0 is the oldest that will do`]);
  });

  test("is asked before anything is built or installed", async () => {
    const redis = await server("bin/redis-server");
    const built = jest.fn(none);
    const installed = jest.fn(none);
    const env = { ...bare(), PATH: join(dir, "bin") };
    expect(await findRedisBinary({ env, progress, sources: { built, installed } })).toBe(redis);
    expect(built).not.toHaveBeenCalled();
    expect(installed).not.toHaveBeenCalled();
  });
});

describe("without a server on the PATH", () => {
  test("a build comes first, an installation after it", async () => {
    const asked: string[] = [];
    const source = (name: string, answer?: string) => () => {
      asked.push(name);
      return Promise.resolve(answer);
    };
    const find = (built?: string) =>
      findRedisBinary({
        env: bare(),
        progress,
        sources: { built: source("built", built), installed: source("installed", "/apt") },
      });
    expect(await find("/built")).toBe("/built");
    expect(asked).toEqual(["built"]);
    expect(await find()).toBe("/apt");
    expect(asked).toEqual(["built", "built", "installed"]);
  });

  test("an earlier build is used without asking the network", async () => {
    const cached = await server("cache/redis-session-store/stable/redis-server");
    const env = { ...bare(), XDG_CACHE_HOME: join(dir, "cache") };
    expect(await findRedisBinary({ env, progress })).toBe(cached);
    expect(lines).toEqual([]);
  });

  test("one sentence says what to install", async () => {
    await expect(findRedisBinary({ env: bare(), progress })).rejects.toThrow(
      /^No Redis server was found: install Redis 7\.0 or Valkey 8\.0 or newer .+REDIS_SERVER_BINARY to the path of one\.$/,
    );
    expect(lines).toEqual(["127.0.0.1:1 cannot be reached, so Redis is not built here"]);
  });

  test("a download host that accepts and never answers is given up", async () => {
    const silent = createServer(() => {});
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const { port } = silent.address() as AddressInfo;
    const env = { ...bare(), REDISMS_DOWNLOAD_MIRROR: `http://127.0.0.1:${port}` };
    await expect(findRedisBinary({ env, progress })).rejects.toThrow("No Redis server was found");
    expect(lines).toEqual([`127.0.0.1:${port} cannot be reached, so Redis is not built here`]);
    silent.closeAllConnections();
    silent.close();
  });
});

const canBuild = folderOf("make") && folderOf("tar");
(canBuild ? test : test.skip)("redis-memory-server's build is kept for later runs", async () => {
  await server("redis/template");
  await writeFile(
    join(dir, "redis", "Makefile"),
    "all:\n\tmkdir -p src && cp template src/redis-server\n",
  );
  const archive = execFileSync("tar", ["-czf", "-", "-C", dir, "redis"]);
  const mirror = createServer((request, response) => {
    response.setHeader("content-length", archive.length);
    response.statusCode = request.url === "/redis-stable.tar.gz" ? 200 : 404;
    response.end(archive);
  });
  await new Promise<void>((resolve) => mirror.listen(0, "127.0.0.1", resolve));
  const { port } = mirror.address() as AddressInfo;

  // Only what a build needs: a real Redis on the PATH would end the search.
  const path = join(dir, "bin");
  await mkdir(path);
  for (const tool of ["sh", "make", "mkdir", "cp"]) {
    await symlink(join(folderOf(tool) ?? "", tool), join(path, tool));
  }
  const env = { ...bare(), PATH: path, REDISMS_DOWNLOAD_MIRROR: `http://127.0.0.1:${port}` };
  const built = join(dir, "home/.cache/redis-session-store/stable/redis-server");
  expect(await findRedisBinary({ env, progress })).toBe(built);
  expect(lines[0]).toMatch(/^building Redis from 127\.0\.0\.1:\d+ into .+ some minutes, once$/);

  mirror.closeAllConnections();
  mirror.close();
  expect(await findRedisBinary({ env, progress })).toBe(built);
});

const canInstall = process.getuid?.() === 0 && existsSync("/etc/debian_version");
(canInstall ? test : test.skip)("apt-get installs without starting a service", async () => {
  const path = join(dir, "bin");
  // Stands for apt-get: notes how it was called, and "installs" a server into its own folder.
  await script(
    "bin/apt-get",
    `echo "$* RUNLEVEL=$RUNLEVEL" >>"${join(dir, "calls")}"
     [ -x /usr/sbin/policy-rc.d ] && echo policy >>"${join(dir, "calls")}"
     if [ "$1" = install ]; then cp "${await server("template")}" "${path}/redis-server"; fi`,
  );
  for (const tool of ["sh", "cp", "rm", "chmod"]) {
    await symlink(join(folderOf(tool) ?? "", tool), join(path, tool));
  }
  const policy = await readFile("/usr/sbin/policy-rc.d", "utf8").catch(() => undefined);

  const env = { ...bare(), PATH: path };
  expect(await findRedisBinary({ env, progress })).toBe(join(path, "redis-server"));
  expect((await readFile(join(dir, "calls"), "utf8")).trim().split("\n")).toEqual([
    "update -qq RUNLEVEL=1",
    "policy",
    "install -y -qq --no-install-recommends redis-server RUNLEVEL=1",
    "policy",
  ]);
  if (policy === undefined) await expect(access("/usr/sbin/policy-rc.d")).rejects.toThrow("ENOENT");
  else expect(await readFile("/usr/sbin/policy-rc.d", "utf8")).toBe(policy);
});
