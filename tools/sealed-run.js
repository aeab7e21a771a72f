// Looks for the content of sessions in all that a Redis server shows: in a record of every command
// and in dumps, while the tests run with encryption.

import { once } from "node:events";
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

/** What the server has to be told so that its dumps can be searched. */
export const ARGS = ["--rdbcompression", "no"];

/** The last command that is recorded. */
const END = "the-search-is-over";

/** How often a dump is taken, in ms. */
const EVERY = 2000;

/**
 * @param {{ url: string, port: number }} server
 * @param {string} dir - its working directory
 * @returns {Promise<{ end(): Promise<string> }>} `end` says what was searched
 * @throws by `end`, with what was found
 */
export async function searchContent({ url, port }, dir) {
  /** @type {string[]} */
  const found = [];
  const seen = { commands: 0, sealedCommands: 0, dumps: 0, sealedDumps: 0 };
  const client = createClient({ url });
  await client.connect();

  const socket = connect(port, "127.0.0.1");
  socket.write("MONITOR\r\n");
  const lines = createInterface({ input: socket, crlfDelay: Number.POSITIVE_INFINITY });
  await once(lines, "line");
  const over = new Promise((resolve) => {
    lines.on("line", (line) => line.includes(END) && resolve(undefined));
  });
  lines.on("line", (line) => {
    seen.commands++;
    if (line.includes(SEALED)) seen.sealedCommands++;
    if (line.includes(MARK) && found.length < 20) found.push(`command: ${line.slice(0, 2000)}`);
  });

  const dump = async () => {
    await client.sendCommand(["SAVE"]);
    const bytes = await readFile(join(dir, "dump.rdb"));
    seen.dumps++;
    if (bytes.includes(SEALED)) seen.sealedDumps++;
    const at = bytes.indexOf(MARK);
    if (at >= 0 && found.length < 20) {
      found.push(`dump: ${bytes.toString("latin1", Math.max(0, at - 200), at + MARK.length)}`);
    }
  };
  const ending = new AbortController();
  const { signal } = ending;
  const dumping = (async () => {
    while (!signal.aborted) {
      await dump().catch((error) => found.push(`no dump: ${error}`));
      await delay(EVERY, undefined, { signal }).catch(() => {});
    }
  })();

  return {
    async end() {
      ending.abort();
      await dumping;
      await dump();
      await client.sendCommand(["ECHO", END]);
      await over;
      await client.close();
      socket.destroy();
      const { commands, sealedCommands, dumps, sealedDumps } = seen;
      const what = `${commands} commands, ${sealedCommands} of them with sealed sessions, and ${dumps} dumps, ${sealedDumps} of them with sealed sessions`;
      if (sealedCommands === 0 || sealedDumps === 0) throw new Error(`nothing was sealed: ${what}`);
      if (found.length > 0) {
        throw new Error(`content of sessions in ${what}:\n${found.join("\n")}`);
      }
      return `no content of sessions in ${what}`;
    },
  };
}
