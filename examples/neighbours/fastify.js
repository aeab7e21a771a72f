// @fastify/session takes stores of express-session.
import cookie from "@fastify/cookie";
import session from "@fastify/session";
import fastify from "fastify";
import { options, visit } from "./shared.js";

const app = fastify();
await app.register(cookie);
await app.register(session, {
  store: /** @type {session.SessionStore} */ (/** @type {unknown} */ (options.store)),
  secret: options.secret,
  saveUninitialized: false,
  cookie: options.cookie,
});
// An async handler returns what it answers, or `reply`. One that calls reply.send() and returns nothing
// ends twice for @fastify/session: it saves twice, then throws, and the process ends.
app.get("/", (req) => visit(req.session));
app.post("/logout", async (req) => {
  await req.session.destroy();
  return "bye\n";
});

const address = await app.listen({ port: Number(process.env.PORT ?? 3000), host: "127.0.0.1" });
console.log(`listening on ${address}`);
