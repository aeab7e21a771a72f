// A login for clients without cookies: a mobile app, a command line, another service.
//
//   curl -X POST -H 'Content-Type: application/json' -d '{"user":"ada","password":"lovelace"}' \
//     http://127.0.0.1:3000/login            gives a token
//   curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:3000/protected
//   curl -X POST -H "Authorization: Bearer $TOKEN" http://127.0.0.1:3000/logout
//
// A user has one session: a second login ends the first.
import express from "express";
import session from "express-session";
import { createClient } from "redis";
import { RedisStore } from "redis-session-store";
import { bearerToken } from "redis-session-store/bearer";
import { secret } from "../secret.js";
import { content, listen } from "./listen.js";

const client = createClient({ url: process.env.REDIS_URL ?? "redis://127.0.0.1:6379" });
client.on("error", (error) => console.error(String(error)));
await client.connect();

const store = new RedisStore({
  client,
  userId: (session) => content(session).user,
  maxSessionsPerUser: 1,
  requireNewId: true,
});
/** Stands for hashes of passwords in a database. @type {Record<string, string>} */
const passwords = { ada: "lovelace", grace: "hopper" };

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
app.use(express.json());

app.post("/login", (req, res, next) => {
  const { user, password } = req.body ?? {};
  if (!Object.hasOwn(passwords, user) || passwords[user] !== password) {
    res.status(401).json({ error: "wrong user or password" });
    return;
  }
  // A new session for a new login, so that nobody can choose its id.
  req.session.regenerate((error) => {
    if (error) return next(error);
    content(req.session).user = user;
    // Saved before the answer: the token must be good when it arrives.
    req.session.save((failure) => {
      if (failure) return next(failure);
      // A token is as good as a password: nothing on its way keeps it.
      res.set("Cache-Control", "no-store").json({ token: req.sessionToken });
    });
  });
});

app.get("/protected", (req, res) => {
  const { user } = content(req.session);
  if (user === undefined) res.status(401).json({ error: "log in first" });
  else res.json({ user });
});

app.post("/logout", (req, res, next) => {
  req.session.destroy((error) => (error ? next(error) : res.json({})));
});

listen(app);
