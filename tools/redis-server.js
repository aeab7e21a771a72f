import { spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { guard } from "./guard.js";
import { findRedisBinary } from "./redis-binary.js";

/**
 * @typedef {object} RedisServer
 * @property {string} url
 * @property {number} port
 * @property {number} pid
 * @property {import("node:child_process").ChildProcess} process
 * @property {(signal?: NodeJS.Signals) => boolean} kill sends a signal and does not wait; SIGKILL unless given
 * @property {() => Promise<void>} stop ends the server, waits until it is gone and removes the directory it was given by startRedis
 */

/** Below the ports a system hands out by itself, and with room for a cluster bus 10,000 above. */
const randomPort = () => 20_000 + Math.floor(Math.random() * 12_000);

/**
 * What a server answers to some inline commands; "" while nobody listens.
 *
 * @param {number} port
 * @param {string} commands
 * @param {(answer: string) => boolean} complete
 * @returns {Promise<string>}
 */
function ask(port, commands, complete) {
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect({ host: "127.0.0.1", port, timeout: 1_000 });
    socket.on("connect", () => socket.write(commands));
    socket.on("data", (chunk) => {
      answer += chunk;
      if (complete(answer)) socket.destroy();
    });
    socket.on("timeout", () => socket.destroy());
    socket.on("error", () => {});
    socket.on("close", () => resolve(answer));
  });
}

/** Whether this very process answers: another server may own the port already. @param {number} port @param {number} pid */
async function ready(port, pid) {
  const answer = await ask(port, "PING\r\nINFO server\r\n", (text) =>
    /process_id:\d+\r\n|-NOAUTH/.test(text),
  );
  // A server with a password answers nothing else, and has at least bound its port.
  return (
    /^-NOAUTH/.test(answer) ||
    (answer.startsWith("+PONG") && answer.includes(`process_id:${pid}\r\n`))
  );
}

/**
 * Starts a Redis server without persistence on the loopback interface, and
 * returns when it answers. It ends with this process, however that ends.
 *
 * @param {object} [options]
 * @param {string[]} [options.args] further arguments, e.g. `["--maxmemory", "2mb"]`; a first one that is no option is the configuration file
 * @param {number} [options.port] default: a free one
 * @param {string} [options.binary] the server to run; default: the one that all tests run on
 * @param {string} [options.dir] its working directory, with `redis.log` in it; default: a new one, removed by `stop`
 * @returns {Promise<RedisServer>}
 */
export async function startRedis({ args = [], port, dir, binary: given } = {}) {
  const binary = given ?? (await findRedisBinary());
  for (let attempt = 1; ; attempt++) {
    try {
      return await launch(binary, args, port ?? randomPort(), dir);
    } catch (error) {
      const taken = /address already in use/i.test(String(error));
      if (port !== undefined || !taken || attempt === 20) throw error;
    }
  }
}

/**
 * @param {string} binary
 * @param {string[]} args
 * @param {number} port
 * @param {string | undefined} givenDir
 * @returns {Promise<RedisServer>}
 */
async function launch(binary, args, port, givenDir) {
  const dir = givenDir ?? mkdtempSync(join(tmpdir(), "redis-session-store-"));
  const removeDir = () => {
    if (givenDir === undefined) rmSync(dir, { recursive: true, force: true });
  };
  const log = join(dir, "redis.log");
  const file = args[0]?.startsWith("-") === false ? args.slice(0, 1) : [];
  const settings = [
    "--port",
    String(port),
    "--bind",
    "127.0.0.1",
    "--save",
    "",
    "--appendonly",
    "no",
  ];
  const output = openSync(log, "w");
  const child = spawn(binary, [...file, ...settings, ...args.slice(file.length)], {
    cwd: dir,
    stdio: ["ignore", output, output],
  });
  closeSync(output);
  const gone = new Promise((resolve) => {
    child.once("exit", resolve);
    child.once("error", resolve);
  });
  const { pid } = child;
  if (pid === undefined) {
    removeDir();
    throw new Error(`${binary} cannot be started: ${await gone}`);
  }
  const release = guard(pid, givenDir === undefined ? dir : undefined);
  // A test that forgets its server must not keep the process from ending.
  child.unref();

  const ended = () => child.exitCode !== null || child.signalCode !== null;
  const stop = async () => {
    if (!ended()) {
      child.ref();
      // A server stopped by SIGSTOP hears SIGTERM only after SIGCONT.
      child.kill("SIGTERM");
      child.kill("SIGCONT");
      const force = setTimeout(() => child.kill("SIGKILL"), 3_000);
      await gone;
      clearTimeout(force);
    }
    release();
    removeDir();
  };

  const deadline = Date.now() + 60_000;
  while (!(await ready(port, pid))) {
    if (ended() || Date.now() > deadline) {
      const reason = readFileSync(log, "utf8").trim().split("\n").slice(-5).join("\n");
      await stop();
      throw new Error(`redis-server on port ${port} did not become ready:\n${reason}`);
    }
    await delay(10);
  }
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    pid,
    process: child,
    kill: (signal = "SIGKILL") => child.kill(signal),
    stop,
  };
}
