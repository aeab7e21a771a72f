import { Agent, get } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { serve } from "./processes.js";

/** Asks a server for pages, in a process of its own. */

/**
 * `steady`: so many requests a second, however long each takes, with one session. `crowd`: so many
 * clients, each with a place of its own to begin, each of which asks for the next page when it has one;
 * together they ask `rate` times in a second at most.
 *
 * @typedef {{ do: "steady", port: number, rate: number, seconds: number }} Steady
 * @typedef {{ do: "crowd", port: number, places: string[], rate?: number, seconds: number }} Crowd
 */

const agent = new Agent({ keepAlive: true, maxSockets: 1000 });

/**
 * @param {number} port
 * @param {string} path
 * @param {string} [cookie]
 * @returns {Promise<import("node:http").IncomingMessage & { text: string }>} read to its end
 */
function ask(port, path, cookie) {
  const headers = cookie === undefined ? {} : { cookie };
  return new Promise((resolve, reject) => {
    get({ host: "127.0.0.1", port, path, headers, agent }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (/** @type {string} */ chunk) => {
        text += chunk;
      });
      answer.on("end", () => resolve(Object.assign(answer, { text })));
      answer.on("error", reject);
    }).on("error", reject);
  });
}

/** How long each took, in ms, from when it was sent: none waits for another one. @param {Steady} request */
async function steady({ port, rate, seconds }) {
  const login = await ask(port, "/login");
  const cookie = login.headers["set-cookie"]?.[0]?.split(";")[0] ?? "";
  /** @type {Promise<number>[]} */
  const asked = [];
  const begin = performance.now();
  for (let index = 0; index < rate * seconds; index++) {
    const early = begin + (index * 1000) / rate - performance.now();
    if (early > 1) await delay(early);
    const sent = performance.now();
    asked.push(ask(port, "/read", cookie).then(() => performance.now() - sent));
  }
  return Promise.all(asked);
}

/** How many pages there were, how large, and how many of them were none. @param {Crowd} request */
async function crowd({ port, places, rate = Number.POSITIVE_INFINITY, seconds }) {
  const end = performance.now() + seconds * 1000;
  const seen = { pages: 0, bytes: 0, failed: 0 };
  let next = performance.now();
  await Promise.all(
    places.map(async (begin) => {
      let place = begin;
      for (;;) {
        const now = performance.now();
        next = Math.max(now, next + 1000 / rate);
        if (next > end) return;
        if (next > now) await delay(next - now);
        const { statusCode, text } = await ask(port, place);
        seen.pages++;
        seen.bytes += text.length;
        if (statusCode !== 200) seen.failed++;
        const further = /href="(\?at=list&amp;cursor=[^"]*)"/.exec(text)?.[1];
        place =
          further === undefined ? begin : begin.replace(/\?.*/, further.replaceAll("&amp;", "&"));
      }
    }),
  );
  return seen;
}

serve((/** @type {Steady | Crowd} */ request) =>
  request.do === "steady" ? steady(request) : crowd(request),
);
