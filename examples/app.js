import express from "express";
import session from "express-session";

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
      secret: process.env.SESSION_SECRET ?? "keyboard cat",
      resave: false,
      saveUninitialized: false,
    }),
  );
  app.get("/", (req, res) => {
    const visitor = /** @type {{ visits?: number }} */ (/** @type {unknown} */ (req.session));
    visitor.visits = (visitor.visits ?? 0) + 1;
    res.send(`Visits: ${visitor.visits}\n`);
  });
  const server = app.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () => {
    const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
    console.log(`listening on http://127.0.0.1:${port}`);
  });
}
