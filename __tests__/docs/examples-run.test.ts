import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { type Build, build } from "../support/build.js";
import {
  type Cluster,
  type SentinelSet,
  type Server,
  startCluster,
  startSentinels,
  startServer,
} from "../support/servers.js";
import { startTls, type TlsServer } from "../support/tls.js";

const folder = resolve(__dirname, "../../examples");
// copy-sessions.js is no app and has a test of its own.
const shared = ["app.js", "addresses.js", "copy-sessions.js", "secret.js"];
const examples = readdirSync(folder).filter(
  (name) => name.endsWith(".js") && !shared.includes(name),
);

let built: Build;
let dir: string;
let server: Server;
let tls: TlsServer;
let cluster: Cluster;
let sentinels: SentinelSet;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "redis-session-store-examples-"));
  [built, server, cluster, sentinels] = await Promise.all([
    build(),
    startServer(),
    startCluster(),
    startSentinels(),
  ]);
  // The examples import the package by its name.
  const self = { name: "redis-session-store", type: "module", exports: "./index.js" };
  await writeFile(join(built.dir, "package.json"), JSON.stringify(self));
  await cp(folder, join(built.dir, "examples"), { recursive: true });
  tls = await startTls(server.port);
  await writeFile(join(dir, "ca.pem"), tls.ca);
  await server.command("ACL", "SETUSER", "app", "on", ">secret", "~*", "+@all");
});

afterAll(async () => {
  const all = [tls?.close(), server?.stop(), cluster?.stop(), sentinels?.stop(), built?.remove()];
  await Promise.allSettled(all);
  await rm(dir, { recursive: true, force: true });
});

const at = (servers: readonly Server[]) => servers.map(({ port }) => `127.0.0.1:${port}`).join();

/** The variables that lead an example to its servers. */
function environment(example: string): Record<string, string> {
  if (example.includes("cluster")) return { REDIS_NODES: at(cluster.nodes) };
  if (example.includes("sentinel")) {
    return { REDIS_SENTINELS: at(sentinels.sentinels), REDIS_NAME: sentinels.name };
  }
  if (example.includes("tls")) {
    const user = { REDIS_USER: "app", REDIS_PASSWORD: "secret" };
    const url = `rediss://127.0.0.1:${tls.port}`;
    return { REDIS_URL: url, REDIS_CA: join(dir, "ca.pem"), ...user };
  }
  return { REDIS_URL: server.url, REDIS_NODES: at([server]) };
}

test.each(examples)("%s counts the visits of a browser", async (example) => {
  const env = {
    ...process.env,
    ...environment(example),
    PORT: "0",
    SESSION_SECRET: "0123456789abcdef0123456789abcdef",
  };
  const child = spawn(process.execPath, [join(built.dir, "examples", example)], {
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const exited = once(child, "exit").then(([code]) => {
      throw new Error(`${example} ended with ${code}`);
    });
    const [line] = (await Promise.race([once(createInterface(child.stdout), "line"), exited])) as [
      string,
    ];
    const url = line.replace("listening on ", "");
    const first = await fetch(url);
    expect(await first.text()).toBe("Visits: 1\n");
    const set = first.headers.get("set-cookie");
    expect(set).toContain("HttpOnly; SameSite=Lax");
    const cookie = set?.split(";")[0] ?? "";
    const second = await fetch(url, { headers: { cookie } });
    expect(await second.text()).toBe("Visits: 2\n");
  } finally {
    child.kill("SIGKILL");
  }
});

test("without a secret no example starts", async () => {
  for (const SESSION_SECRET of ["", "short"]) {
    const env = { ...process.env, ...environment("redis.js"), PORT: "0", SESSION_SECRET };
    const child = spawn(process.execPath, [join(built.dir, "examples/redis.js")], {
      env,
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    child.stderr.on("data", (chunk) => {
      said += String(chunk);
    });
    const [code] = (await once(child, "close")) as [number];
    expect(code).not.toBe(0);
    expect(said).toContain("set SESSION_SECRET");
  }
});
