import { request } from "node:http";
import { buffer } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";

/**
 * @param {import("node:http").IncomingMessage} req
 * @param {Buffer} body
 * @param {number} port
 * @returns {Promise<import("node:http").IncomingMessage>}
 */
function ask({ method, url, headers }, body, port) {
  return new Promise((resolve, reject) => {
    // A connection of its own: one that was kept open fails only after the request has been sent.
    request({ host: "127.0.0.1", port, method, path: url, headers, agent: false }, resolve)
      .on("error", reject)
      .end(body);
  });
}

/**
 * Forwards each request to the next server. One that cannot be reached is passed over; a change that
 * a server may have begun to make is not repeated.
 *
 * @param {import("./servers.js").Servers} servers
 * @returns {import("express").Handler}
 */
export function forward(servers) {
  return async (req, res) => {
    const body = await buffer(req);
    for (const port of servers.inTurn()) {
      try {
        const answer = await ask(req, body, port);
        res.writeHead(answer.statusCode ?? 502, answer.headers);
        // The server may die, or the browser go away, half way through.
        return await pipeline(answer, res).catch(() => {});
      } catch (error) {
        const { code } = /** @type {NodeJS.ErrnoException} */ (error);
        if (code === "ECONNREFUSED" || req.method === "GET") continue;
        res.status(502).json({ error: "The server died while it served this request." });
        return;
      }
    }
    res.status(503).json({ error: "No server is running." });
  };
}
