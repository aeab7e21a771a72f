// Socket.IO: its events see the session of the browser that opened the socket.
import { createServer } from "node:http";
import express from "express";
import session from "express-session";
import { Server } from "socket.io";
import { content, listen, options } from "./shared.js";

const withSession = session(options);
const app = express();
const server = createServer(app);
const io = new Server(server, {
  // A browser sends its cookie along from any page, and says from which: only our own may connect.
  allowRequest({ headers: { origin, host } }, answer) {
    const isForeign =
      origin !== undefined && (!URL.canParse(origin) || new URL(origin).host !== host);
    answer(null, !isForeign);
  },
});

app.use(withSession);
// The name stands for a look at a password.
app.post("/login/:user", (req, res, next) => {
  // A new id for a login: one that was planted in the browser before is worth nothing after it.
  req.session.regenerate((error) => {
    if (error) return next(error);
    content(req.session).user = req.params.user;
    req.session.save((failure) => (failure ? next(failure) : res.send("welcome\n")));
  });
});
app.get("/", (req, res) => {
  const { user, messages } = content(req.session);
  res.json({ user, messages });
});

io.engine.use(withSession);
io.use((socket, next) => {
  const { session } = /** @type {express.Request} */ (socket.request);
  next(content(session).user ? undefined : new Error("log in first"));
});
io.on("connection", (socket) => {
  const req = /** @type {express.Request} */ (socket.request);
  socket.on("message", (_text, answer) => {
    // The socket outlives the request: what has happened to the session since is in Redis.
    req.session.reload((error) => {
      if (error) return socket.disconnect(true);
      const own = content(req.session);
      own.messages = (own.messages ?? 0) + 1;
      return req.session.save(() => answer({ user: own.user, messages: own.messages }));
    });
  });
});

listen(server);
