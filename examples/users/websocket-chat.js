// A chat over WebSockets for who is logged in. It ends when the session does: by a logout, by being
// revoked, or because it has expired.
import { createServer } from "node:http";
import express from "express";
import session from "express-session";
import { createClient } from "redis";
import { RedisStore } from "redis-session-store";
import { bearerToken, readSession } from "redis-session-store/bearer";
import { WebSocket, WebSocketServer } from "ws";
import { secret } from "../secret.js";
import { content, listen } from "./listen.js";

const client = createClient({ url: process.env.REDIS_URL ?? "redis://127.0.0.1:6379" });
client.on("error", (error) => console.error(String(error)));
await client.connect();

const store = new RedisStore({
  client,
  userId: (session) => content(session).user,
  requireNewId: true,
});

const app = express();
app.use(bearerToken({ secret }));
app.use(
  session({
    store,
    secret,
    resave: false,
    saveUninitialized: false,
    cookie: { secure: "auto", sameSite: "lax" },
  }),
);
// The name stands for a look at a password.
app.post("/login/:user", (req, res, next) => {
  req.session.regenerate((error) => {
    if (error) return next(error);
    content(req.session).user = req.params.user;
    req.session.save((failure) => {
      if (failure) return next(failure);
      res.set("Cache-Control", "no-store").json({ token: req.sessionToken });
    });
  });
});
app.post("/logout", (req, res, next) => {
  req.session.destroy((error) => (error ? next(error) : res.json({})));
});
app.post("/logout-everywhere", async (req, res) => {
  const { user } = content(req.session);
  res.json({ ended: user === undefined ? 0 : await store.destroyAllOf(user) });
});

const server = createServer(app);
const chat = new WebSocketServer({ noServer: true });
/** The sockets of each session. @type {Map<string, Set<WebSocket>>} */
const sockets = new Map();

server.on("upgrade", (request, socket, head) => void upgrade(request, socket, head));

/** @param {import("node:http").IncomingMessage} request @param {import("node:stream").Duplex} socket @param {Buffer} head */
async function upgrade(request, socket, head) {
  socket.on("error", () => socket.destroy());
  const { origin, host } = request.headers;
  // A browser sends its cookie along from any page, and says from which: only our own may talk for the
  // user. What says nothing is no browser, and has a token.
  const isBrowser = origin !== undefined;
  const isForeign = isBrowser && (!URL.canParse(origin) || new URL(origin).host !== host);
  const options = { secret, store, cookie: isBrowser };
  const found = isForeign ? null : await readSession(request, options).catch(() => null);
  const user = found && content(found).user;
  if (!found || !user) {
    socket.end("HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n");
    return;
  }
  chat.handleUpgrade(request, socket, head, (webSocket) => join(webSocket, found.id, user));
}

/** @param {WebSocket} webSocket @param {string} sid @param {string} user */
function join(webSocket, sid, user) {
  const own = sockets.get(sid) ?? new Set();
  sockets.set(sid, own.add(webSocket));
  webSocket.on("error", () => {});
  webSocket.on("close", () => {
    own.delete(webSocket);
    if (own.size === 0 && sockets.get(sid) === own) sockets.delete(sid);
  });
  webSocket.on("message", (data) => {
    const text = String(/** @type {Buffer} */ (data));
    for (const other of chat.clients) {
      if (other.readyState === WebSocket.OPEN) other.send(`${user}: ${text}`);
    }
  });
  // It may have ended between the look at it and now.
  void check(sid);
}

/** @param {string} sid */
function end(sid) {
  for (const webSocket of sockets.get(sid) ?? []) webSocket.close(4001, "session ended");
}

/** @param {string} sid */
async function check(sid) {
  if ((await store.get(sid)) === null) end(sid);
}

const events = await store.watch();
events.on("destroyed", end);
events.on("expired", end);
// What happened while the connection was lost was not told.
events.on("gap", () => {
  for (const sid of sockets.keys()) void check(sid);
});
// An expiry is told when Redis notices it, which may be late: look now and then.
setInterval(() => {
  for (const sid of sockets.keys()) void check(sid);
}, 60_000).unref();

listen(server);
