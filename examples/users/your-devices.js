// "Your devices": where a user is logged in, with a button that ends each of the sessions.
import express from "express";
import session from "express-session";
import { createClient } from "redis";
import { RedisStore } from "redis-session-store";
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
app.use(
  session({
    store,
    secret,
    resave: false,
    saveUninitialized: false,
    // Other sites cannot press the buttons.
    cookie: { secure: "auto", sameSite: "strict", maxAge: 7 * 24 * 3600 * 1000 },
  }),
);
app.use(express.urlencoded({ extended: false }));

/** @param {string} text */
const escaped = (text) => text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);

app.get("/", async (req, res) => {
  const { user } = content(req.session);
  if (user === undefined) {
    res.send(
      '<form method="post" action="/login"><input name="user"><button>Log in</button></form>',
    );
    return;
  }
  // A session id is a credential and stays on the server; its handle names it on the page.
  const rows = (await store.sessionsOf(user)).map(({ sid, handle, session, expires }) => {
    const device = escaped(content(session).device ?? "unknown");
    const until = expires?.toISOString() ?? "for ever";
    const button =
      sid === req.sessionID
        ? "this device"
        : `<form method="post" action="/revoke"><button name="device" value="${handle}">Log out</button></form>`;
    return `<tr><td>${device}</td><td>${until}</td><td>${button}</td></tr>`;
  });
  res.send(
    `<h1>Devices of ${escaped(user)}</h1><table>${rows.join("")}</table>
     <form method="post" action="/revoke-others"><button>Log out everywhere else</button></form>`,
  );
});

app.post("/login", (req, res, next) => {
  // Stands for a look at a password.
  const { user } = req.body ?? {};
  if (typeof user !== "string" || user === "") return res.redirect("/");
  req.session.regenerate((error) => {
    if (error) return next(error);
    Object.assign(req.session, { user, device: req.get("User-Agent") });
    req.session.save((failure) => (failure ? next(failure) : res.redirect("/")));
  });
});

app.post("/revoke", async (req, res) => {
  const { user } = content(req.session);
  if (user === undefined) return res.redirect("/");
  // It ends no session of anybody else.
  await store.destroyOf(user, String(req.body?.device));
  res.redirect("/");
});

app.post("/revoke-others", async (req, res) => {
  const { user } = content(req.session);
  if (user !== undefined) await store.destroyAllOf(user, { except: req.sessionID });
  res.redirect("/");
});

listen(app);
