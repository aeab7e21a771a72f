// Without Express: a plain server, or an API route of Next.js, which gets the same two objects.
import { createServer } from "node:http";
import session from "express-session";
import { listen, options, visit } from "./shared.js";

const withSession = session(options);

/**
 * Gives a request its session; in Next.js, call it first in `handler(req, res)`.
 *
 * @param {import("node:http").IncomingMessage} req
 * @param {import("node:http").ServerResponse} res
 * @returns {Promise<session.Session>}
 */
function sessionOf(req, res) {
  const request = /** @type {import("express").Request} */ (req);
  return new Promise((resolve, reject) => {
    const response = /** @type {import("express").Response} */ (res);
    withSession(request, response, (/** @type {unknown} */ error) => {
      if (error) reject(error);
      else resolve(request.session);
    });
  });
}

/**
 * @param {import("node:http").IncomingMessage} req
 * @param {import("node:http").ServerResponse} res
 */
async function handler(req, res) {
  const session = await sessionOf(req, res);
  if (req.url === "/logout") {
    session.destroy(() => res.end("bye\n"));
    return;
  }
  res.end(visit(session));
}

listen(
  createServer((req, res) => {
    handler(req, res).catch((error) => {
      console.error(error);
      res.writeHead(500).end();
    });
  }),
);
