import { fileURLToPath } from "node:url";
import express from "express";
import { forward } from "./proxy.js";

const pages = fileURLToPath(new URL("public", import.meta.url));

/**
 * Another page in the same browser must not end our processes, not even one whose host name was
 * made to point here.
 *
 * @param {express.Request} req
 * @param {express.Response} res
 * @param {express.NextFunction} next
 */
function sameOrigin({ method, headers: { host = "", origin } }, res, next) {
  const local = /^(127\.0\.0\.1|localhost)(:\d+)?$/.test(host);
  const reads = method === "GET" || method === "HEAD";
  if (local && (reads || origin === `http://${host}`)) next();
  else res.status(403).json({ error: "Only the demo's own page may do that." });
}

/**
 * What the one URL leads to: the page, the list of the servers, and for all else one of them.
 *
 * @param {import("./servers.js").Servers} servers
 */
export function front(servers) {
  const app = express().disable("x-powered-by").use(sameOrigin);
  app.use((_req, res, next) => {
    res.set("Content-Security-Policy", "default-src 'self'; img-src data:; frame-ancestors 'none'");
    next();
  });
  app.use(express.static(pages));

  app.get("/servers", (_req, res) => {
    res.set({ "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
    const tell = () => res.write(`data: ${JSON.stringify(servers.list())}\n\n`);
    servers.on("change", tell);
    res.on("close", () => servers.off("change", tell));
    tell();
  });
  app.post("/servers/:name/kill", async (req, res) => {
    await servers.kill(req.params.name);
    res.json({});
  });
  app.post("/servers/:name/start", async (req, res) => {
    await servers.start(req.params.name);
    res.json({});
  });

  app.use(forward(servers));
  return app;
}
