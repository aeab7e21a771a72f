import { Agent, get } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { serve } from "./processes.js";

/** Asks a server for pages, in a process of its own. */

/**
 * `steady`: so many requests a second, however long each takes, with one session. `crowd`: so many
 * clients, each of which asks for the next page when it has one.
 *
 * @typedef {{ do: "steady", port: number, rate: number, seconds: number }} Steady
 * @typedef {{ do: "crowd", port: number, clients: number, paths: string[], seconds: number }} Crowd
 */

const agent = new Agent({ keepAlive: true, maxSockets: 1000 });

/**
 * @param {number} port
 * @param {string} path
 * @param {string} [cookie]
 * @returns {Promise<import("node:http").IncomingMessage>} read to its end
 */
function ask(port, path, cookie) {
  const headers = cookie === undefined ? {} : { cookie };
  return new Promise((resolve, reject) => {
    get({ host: "127.0.0.1", port, path, headers, agent }, (answer) => {
      answer.resume().on("end", () => resolve(answer));
      answer.on("error", reject);
    }).on("error", reject);
  });
}

/** How long each took, in ms. @param {Steady} request */
async function steady({ port, rate, seconds }) {
  const login = await ask(port, "/login");
  const cookie = login.headers["set-cookie"]?.[0]?.split(";")[0] ?? "";
  /** @type {Promise<number>[]} */
  const sent = [];
  const begin = performance.now();
  for (let index = 0; index < rate * seconds; index++) {
    const due = begin + (index * 1000) / rate;
    const early = due - performance.now();
    if (early > 1) await delay(early);
    // From when it was due: a client that is late must not hide a server that is.
    sent.push(ask(port, "/read", cookie).then(() => performance.now() - due));
  }
  return Promise.all(sent);
}

/** How many pages there were, and how many of them were none. @param {Crowd} request */
async function crowd({ port, clients, paths, seconds }) {
  const end = performance.now() + seconds * 1000;
  let pages = 0;
  let failed = 0;
  await Promise.all(
    Array.from({ length: clients }, async (_, client) => {
      for (let turn = client; performance.now() < end; turn++) {
        const { statusCode } = await ask(port, /** @type {string} */ (paths[turn % paths.length]));
        pages++;
        if (statusCode !== 200) failed++;
      }
    }),
  );
  return { pages, failed };
}

serve((/** @type {Steady | Crowd} */ request) =>
  request.do === "steady" ? steady(request) : crowd(request),
);
