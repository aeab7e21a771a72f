import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { startRedis } from "../tools/redis-server.js";
import { front } from "./front.js";
import { Servers } from "./servers.js";

/** What ends each part of the demo that has been started. @type {(() => unknown)[]} */
const ends = [];
/** @type {Promise<void> | undefined} */
let stopping;

/** @param {number} code */
function stop(code) {
  stopping ??= (async () => {
    for (const end of ends.reverse()) await end();
    process.exit(code);
  })();
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => stop(0));
// Nobody is told when the process that started this one is killed.
const parent = process.ppid;
const npm = npmPid();
setInterval(() => {
  try {
    if (npm !== undefined) process.kill(npm, 0);
    if (process.ppid === parent) return;
  } catch {}
  stop(0);
}, 500).unref();

/** npm starts a script by a shell, which is the parent here and survives npm. */
function npmPid() {
  if (process.env.npm_lifecycle_event !== "demo") return undefined;
  const { stdout } = spawnSync("ps", ["-o", "ppid=", "-p", String(parent)], { encoding: "utf8" });
  return Number.parseInt(stdout, 10) || undefined;
}

async function start() {
  const redis = await startRedis();
  ends.push(redis.stop);

  const servers = new Servers(["1", "2", "3"], {
    REDIS_URL: redis.url,
    SESSION_SECRET: randomBytes(32).toString("hex"),
    CONSOLE_KEY: randomBytes(32).toString("hex"),
  });
  ends.push(() => servers.stop());
  await servers.start();

  const server = createServer(front(servers)).listen(Number(process.env.PORT ?? 0), "127.0.0.1");
  ends.push(() => server.close().closeAllConnections());
  await once(server, "listening");
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  console.log(`
  One session, three servers: http://127.0.0.1:${port}

  Ctrl-C ends the servers and their Redis.
`);
}

start().catch((error) => {
  if (stopping) return;
  console.error(`The demo cannot start: ${error instanceof Error ? error.message : error}`);
  stop(1);
});
