// Looks for the content of sessions in all that a Redis server shows: in a record of every command
// and in dumps, while the tests run with encryption.

import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { createClient } from "redis";

/** What every serialized session ends with in such a run; see __tests__/support/sealed.ts. */
export const MARK = "mark-of-content-8f2c1ab7";

/** How what a store has sealed begins in such a run. */
const SEALED = "rss1.suite.";

/** What a server has to be told so that its dumps can be searched. */
export const ARGS = ["--rdbcompression", "no"];

/** The last command that is recorded. */
const END = "the-search-is-over";

/** How often a dump is taken of a server that is searched throughout, in ms. */
const EVERY = 2000;

/** How long a server may take for an answer, in ms; one that stands still gives none. */
const PATIENCE = 10_000;

/** Texts quoted from what was found, at most. */
const MOST = 20;

/**
 * @typedef {object} Seen what was searched
 * @property {number} commands
 * @property {number} sealedCommands those with a sealed session
 * @property {number} dumps
 * @property {number} sealedDumps
 */

/** A search of one server, from now on. */
class Search {
  /** @type {Seen} */
  seen = { commands: 0, sealedCommands: 0, dumps: 0, sealedDumps: 0 };
  /** Where content came to light. @type {string[]} */
  found = [];
  #server;
  #password;
  /** @type {import("node:net").Socket | undefined} */
  #socket;
  #isOver = false;
  /** Ends with `#isOver`. */
  #over;
  /** @type {() => void} */
  #end = () => {};

  /** @param {{ url: string, port: number }} server @param {string} [password] */
  constructor(server, password) {
    this.#server = server;
    this.#password = password;
    this.#over = new Promise((resolve) => {
      this.#end = () => {
        this.#isOver = true;
        resolve(undefined);
      };
    });
  }

  /** Records every command from here on. */
  async record() {
    const socket = connect(this.#server.port, "127.0.0.1");
    this.#socket = socket;
    // The server has died, or a test has cut all its connections.
    socket.on("error", () => {});
    if (this.#password !== undefined) socket.write(`AUTH ${this.#password}\r\n`);
    socket.write("MONITOR\r\n");
    const lines = createInterface({ input: socket, crlfDelay: Number.POSITIVE_INFINITY });
    const closed = new Promise((resolve) => socket.once("close", resolve));
    // The end of the socket says as much.
    lines.on("error", () => {});
    await Promise.race([new Promise((resolve) => lines.once("line", resolve)), closed]);
    lines.on("line", (line) => {
      this.#look("Commands", line);
      if (line.includes(END)) this.#end();
    });
    void closed.then(async () => {
      await delay(20, undefined, { ref: false });
      if (!this.#isOver) await this.record();
    });
  }

  /** @param {"Commands" | "Dumps"} where @param {string} text */
  #look(where, text) {
    this.seen[where === "Commands" ? "commands" : "dumps"]++;
    if (text.includes(SEALED)) this.seen[`sealed${where}`]++;
    const at = text.indexOf(MARK);
    if (at < 0 || this.found.length >= MOST) return;
    const what = where === "Commands" ? "command" : "dump";
    this.found.push(`${what}: ${text.slice(Math.max(0, at - 500), at + MARK.length)}`);
  }

  /** Takes a dump and looks through it. @throws when the server gives none */
  async dump() {
    await this.#asked(async (client) => {
      const settings = await client.configGet(["dir", "dbfilename"]);
      // SAVE would keep the tests waiting. A replica may be served with a dump just now.
      const isIdle = async () => /rdb_bgsave_in_progress:0/.test(await client.info("persistence"));
      while (!(await isIdle())) await delay(50);
      await client.sendCommand(["BGSAVE"]);
      while (!(await isIdle())) await delay(50);
      const file = join(String(settings.dir), String(settings.dbfilename));
      this.#look("Dumps", await readFile(file, "latin1"));
    });
  }

  /** Ends when all commands that the server has done are looked through, or it gives no answer. */
  async end() {
    await this.#asked((client) => client.sendCommand(["ECHO", END])).then(
      () => Promise.race([this.#over, delay(PATIENCE, undefined, { ref: false })]),
      () => {},
    );
    this.#end();
    this.#socket?.destroy();
  }

  /** @param {(client: import("redis").RedisClientType) => Promise<unknown>} work */
  async #asked(work) {
    const client = /** @type {import("redis").RedisClientType} */ (
      createClient({
        url: this.#server.url,
        ...(this.#password === undefined ? {} : { password: this.#password }),
        socket: { reconnectStrategy: false },
      })
    );
    client.on("error", () => {});
    const late = new AbortController();
    const { signal } = late;
    const tooLate = delay(PATIENCE, undefined, { signal }).then(() => {
      throw new Error("no answer");
    });
    try {
      await Promise.race([client.connect().then(() => work(client)), tooLate]);
    } finally {
      late.abort();
      tooLate.catch(() => {});
      client.destroy();
    }
  }
}

/** @param {Seen} seen */
export function shown({ commands, sealedCommands, dumps, sealedDumps }) {
  return `${commands} commands, ${sealedCommands} of them with sealed sessions, and ${dumps} dumps, ${sealedDumps} of them with sealed sessions`;
}

/**
 * Searches a server until `end`; its dumps are taken by the caller.
 *
 * @param {{ url: string, port: number }} server
 * @param {string} [password]
 */
export async function beginSearch(server, password) {
  const search = new Search(server, password);
  await search.record();
  return search;
}

/**
 * Searches a server until `end`, with a dump every two seconds.
 *
 * @param {{ url: string, port: number }} server
 * @returns {Promise<{ end(): Promise<string> }>} `end` says what was searched
 * @throws by `end`, with what was found
 */
export async function searchContent(server) {
  const search = await beginSearch(server);
  const ending = new AbortController();
  const { signal } = ending;
  const dumping = (async () => {
    while (!signal.aborted) {
      // A busy one gives the next.
      await search.dump().catch(() => {});
      await delay(EVERY, undefined, { signal }).catch(() => {});
    }
  })();
  return {
    async end() {
      ending.abort();
      await dumping;
      await search.dump();
      await search.end();
      const { seen, found } = search;
      const what = shown(seen);
      if (seen.sealedCommands === 0 || seen.sealedDumps === 0) {
        throw new Error(`nothing was sealed: ${what}`);
      }
      if (found.length > 0) {
        throw new Error(`content of sessions in ${what}:\n${found.join("\n")}`);
      }
      return `no content of sessions in ${what}`;
    },
  };
}
