import express from "express";
import session from "express-session";
import { secret } from "./secret.js";

/**
 * The part that is the same in every example: an app that counts the visits of a browser.
 *
 * @param {import("redis-session-store").RedisStore} store
 */
export function serve(store) {
  const app = express();
  app.use(
    session({
      store,
      secret,
      resave: false,
      saveUninitialized: false,
      // "auto": Secure where the browser comes by https.
      cookie: { secure: "auto", sameSite: "lax", maxAge: 30 * 60 * 1000 },
    }),
  );
  app.get("/", (req, res) => {
    const visitor = /** @type {{ visits?: number }} */ (/** @type {unknown} */ (req.session));
    // Two requests at the same time count as one: what has to be exact belongs in Redis (INCR).
    visitor.visits = (visitor.visits ?? 0) + 1;
    res.send(`Visits: ${visitor.visits}\n`);
  });
  const server = app.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () => {
    const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
    console.log(`listening on http://127.0.0.1:${port}`);
  });
}
