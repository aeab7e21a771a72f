import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { guard } from "./guard.js";

const run = promisify(execFile);
const minutes = 60_000;

/**
 * @typedef {NodeJS.ProcessEnv} Env
 * @typedef {(line: string) => void} Progress
 * @typedef {(env: Env, progress: Progress) => Promise<string | undefined>} Source
 *   one place a binary may come from; `undefined` when it has none
 */

/** What a server calls itself, such as "Redis 7.0.15"; "" for another program. @param {string} path */
export async function versionOf(path) {
  const { stdout } = await run(path, ["--version"], { timeout: 10_000 });
  const [, name, version] = /(\w+) server v=(\d+\.\S+)/.exec(stdout) ?? [];
  return version === undefined ? "" : `${name} ${version}`;
}

/** Why this is no Redis server the store supports, or `undefined` when it is one. @param {string} path */
async function whyNot(path) {
  try {
    const version = await versionOf(path);
    if (version === "") return "is neither Redis nor Valkey";
    const major = Number.parseInt(version.replace(/\D+/, ""), 10);
    if (major < 7) return `is ${version}, and 7.0 is the oldest that will do`;
    return undefined;
  } catch (error) {
    return `cannot be run (${/** @type {NodeJS.ErrnoException} */ (error).code ?? String(error)})`;
  }
}

/** @type {Source} A name given and wrong is an error: nobody wants another server than the one asked for. */
async function named(env) {
  const path = env.REDIS_SERVER_BINARY;
  if (!path) return undefined;
  const reason = await whyNot(path);
  if (reason) throw new Error(`REDIS_SERVER_BINARY names "${path}", which ${reason}.`);
  return path;
}

/** @type {Source} */
async function onPath(env, progress) {
  const folders = (env.PATH ?? "").split(delimiter).filter(Boolean);
  for (const name of ["redis-server", "valkey-server"]) {
    for (const path of folders.map((folder) => join(folder, name)).filter(existsSync)) {
      const reason = await whyNot(path);
      if (!reason) return path;
      progress(`${path} ${reason}`);
    }
  }
  return undefined;
}

/** Whether anything answers there: a firewall that drops packets would stall a download for minutes. @param {URL} url */
async function answers(url) {
  try {
    await fetch(url, { method: "HEAD", signal: AbortSignal.timeout(3_000) });
    return true;
  } catch {
    return false;
  }
}

/**
 * Runs a command with its output as progress, and ends it with all it started
 * when the time is up.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {{ env: Env, progress: Progress, timeout: number }} options
 * @returns {Promise<string[]>} the lines it printed; empty when it failed
 */
function attempt(command, args, { env, progress, timeout }) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { env, stdio: ["ignore", "pipe", "pipe"], detached: true });
    child.once("error", () => resolve([]));
    if (child.pid === undefined) return;
    const group = -child.pid;
    const release = guard(group);
    const started = Date.now();
    const say = (/** @type {string} */ line) =>
      progress(`${line} (${Math.round((Date.now() - started) / 1000)} s)`);
    const clock = setInterval(() => say("still working"), 10_000);
    const limit = setTimeout(() => {
      say("took too long, given up");
      process.kill(group, "SIGKILL");
    }, timeout);
    let printed = "";
    const hear = (/** @type {Buffer} */ chunk) => {
      printed += chunk;
      for (const line of String(chunk).split(/[\r\n]+/)) if (line.trim()) progress(line.trim());
    };
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    child.once("close", (code) => {
      clearInterval(clock);
      clearTimeout(limit);
      release();
      resolve(code === 0 ? printed.trim().split("\n") : []);
    });
  });
}

/** @type {Source} What redis-memory-server fetches and compiles, kept outside of node_modules: npm ci empties that. */
async function built(env, progress) {
  const cache =
    env.REDISMS_DOWNLOAD_DIR ||
    join(env.XDG_CACHE_HOME || join(env.HOME || homedir(), ".cache"), "redis-session-store");
  const binary = join(cache, env.REDISMS_VERSION || "stable", "redis-server");
  if (existsSync(binary) && !(await whyNot(binary))) return binary;

  const mirror = new URL(env.REDISMS_DOWNLOAD_MIRROR || "https://download.redis.io");
  const proxied = Object.keys(env).some(
    (name) => /^(npm_config_)?https?[-_]proxy$/i.test(name) && env[name],
  );
  if (!proxied && !(await answers(mirror))) {
    progress(`${mirror.host} cannot be reached, so Redis is not built here`);
    return undefined;
  }
  progress(`building Redis from ${mirror.host} into ${cache}: this takes some minutes, once`);
  const lines = await attempt(
    process.execPath,
    [fileURLToPath(new URL("build-redis.js", import.meta.url))],
    {
      env: {
        ...env,
        REDISMS_DOWNLOAD_DIR: cache,
        MAKEFLAGS: env.MAKEFLAGS ?? "-j2",
        // Without it redis-memory-server accepts any certificate.
        npm_config_strict_ssl: "true",
      },
      progress,
      timeout: 15 * minutes,
    },
  );
  const path = lines.at(-1);
  return path && !(await whyNot(path)) ? path : undefined;
}

// A policy of 101 forbids the package to start its service. It is written only
// where there is none, and the shell takes it away again.
const aptScript = `
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\\nexit 101\\n' >"$policy" && chmod 755 "$policy"
fi
apt-get update -qq
apt-get install -y -qq --no-install-recommends redis-server
`;

/** @type {Source} */
async function installed(env, progress) {
  const folders = (env.PATH ?? "").split(delimiter).filter(Boolean);
  const debian =
    existsSync("/etc/debian_version") &&
    folders.some((folder) => existsSync(join(folder, "apt-get")));
  if (!debian || process.getuid?.() !== 0) return undefined;
  progress("installing Debian's redis-server");
  await attempt("sh", ["-c", aptScript], {
    env: { ...env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" },
    progress,
    timeout: 10 * minutes,
  });
  return onPath(env, progress);
}

/** Every place in the order in which it is asked. @type {Record<"named" | "onPath" | "built" | "installed", Source>} */
const sources = { named, onPath, built, installed };

/**
 * Finds a Redis or Valkey server to run: the one REDIS_SERVER_BINARY names, one
 * on the PATH, one that redis-memory-server builds, one that apt-get installs.
 *
 * @param {{ env?: Env, progress?: Progress, sources?: Partial<typeof sources> }} [options]
 *   `sources` replaces single places
 * @returns {Promise<string>} its path
 */
export async function findRedisBinary(options = {}) {
  const { env = process.env, progress = (line) => console.error(`redis: ${line}`) } = options;
  for (const find of Object.values({ ...sources, ...options.sources })) {
    const path = await find(env, progress);
    if (path) return path;
  }
  throw new Error(
    "No Redis server was found: install Redis 7.0 or Valkey 8.0 or newer (Debian: apt-get install redis-server; macOS: brew install redis), or set REDIS_SERVER_BINARY to the path of one.",
  );
}
