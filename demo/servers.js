import { fork } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { fileURLToPath } from "node:url";

const script = fileURLToPath(new URL("app.js", import.meta.url));
/** Time to see a server dead, in ms. */
const restartAfter = Number(process.env.DEMO_RESTART_AFTER ?? 10_000);

/**
 * @typedef {object} Server
 * @property {string} name
 * @property {import("node:child_process").ChildProcess} [child] while the process lives
 * @property {number} [port] while it takes requests
 * @property {NodeJS.Timeout} [restart] while it waits to be started again
 */

/** The app servers, each a process that is started again some time after its death. Emits `change`. */
export class Servers extends EventEmitter {
  /** @type {Server[]} */
  #servers;
  #env;
  #last = -1;
  #stopping = false;

  /** @param {string[]} names @param {NodeJS.ProcessEnv} env what all of them are told */
  constructor(names, env) {
    super();
    this.setMaxListeners(0);
    this.#servers = names.map((name) => ({ name }));
    this.#env = { ...process.env, ...env };
  }

  list() {
    return this.#servers.map(({ name, child, port }) => ({
      name,
      pid: child?.pid,
      state: port ? "running" : child ? "starting" : "dead",
    }));
  }

  /** The servers to ask for one request: round robin, without those that are known to be dead. */
  *inTurn() {
    const next = this.#last + 1;
    for (const server of [...this.#servers.slice(next), ...this.#servers.slice(0, next)]) {
      if (server.port === undefined) continue;
      this.#last = this.#servers.indexOf(server);
      yield server.port;
    }
  }

  /** Starts those that do not run, or the one of that name; returns when they take requests. @param {string} [only] */
  async start(only) {
    const idle = this.#servers.filter(({ name, child }) => !child && (only ?? name) === name);
    await Promise.all(idle.map((server) => this.#start(server)));
  }

  /** Kills a process as a crash would: it gets no chance to say goodbye. @param {string} name */
  async kill(name) {
    const child = this.#servers.find((server) => server.name === name)?.child;
    if (!child?.kill("SIGKILL")) return;
    await once(child, "exit");
  }

  async stop() {
    this.#stopping = true;
    for (const { restart } of this.#servers) clearTimeout(restart);
    await Promise.all(this.#servers.map(({ name }) => this.kill(name)));
  }

  /** @param {Server} server @returns {Promise<void>} */
  #start(server) {
    clearTimeout(server.restart);
    const child = fork(script, { env: { ...this.#env, SERVER_NAME: server.name } });
    server.child = child;
    this.emit("change");
    return new Promise((resolve, reject) => {
      child.once("message", (port) => {
        server.port = Number(port);
        this.emit("change");
        resolve();
      });
      child.once("exit", (code, signal) => {
        delete server.child;
        delete server.port;
        if (!this.#stopping) {
          server.restart = setTimeout(() => {
            this.#start(server).catch((error) => console.error(error.message));
          }, restartAfter);
        }
        this.emit("change");
        // A signal was somebody's wish, an exit before it listened is a fault.
        if (signal) resolve();
        else reject(new Error(`server ${server.name} ended before it listened, code ${code}`));
      });
    });
  }
}
