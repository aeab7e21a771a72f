// A login page that says why you are here: "you were logged out on another device at 10:42".
import express from "express";
import session from "express-session";
import { createClient } from "redis";
import { RedisStore } from "redis-session-store";
import { whyMissing } from "redis-session-store/bearer";
import { secret } from "../secret.js";
import { content, listen } from "../users/listen.js";

const client = createClient({ url: process.env.REDIS_URL ?? "redis://127.0.0.1:6379" });
client.on("error", (error) => console.error(String(error)));
await client.connect();

const store = new RedisStore({
  client,
  userId: (session) => content(session).user,
  maxSessionsPerUser: 2,
  requireNewId: true,
  endings: { keepFor: 24 * 3600 },
});

const app = express();
app.use(
  session({
    store,
    secret,
    resave: false,
    saveUninitialized: false,
    cookie: { secure: "auto", sameSite: "strict", maxAge: 7 * 24 * 3600 * 1000 },
  }),
);
app.use(express.urlencoded({ extended: false }));

/** @param {string} text */
const escaped = (text) => text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);

/**
 * Why a browser that had a session has none.
 *
 * @param {express.Request} req
 */
async function explanation(req) {
  const why = await whyMissing(req, { store, secret });
  const time = why?.at?.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  switch (why?.reason) {
    case "revoked":
      return `You were ${why.because ?? "logged out"} at ${time}.`;
    case "limit":
      return `You were logged out at ${time}: you logged in on a third device.`;
    case "logout":
      return `You logged out at ${time}.`;
    case "expired-or-evicted":
      return "You were away for too long.";
    default:
      return "";
  }
}

app.get("/", async (req, res) => {
  const { user } = content(req.session);
  if (user !== undefined) {
    res.send(
      `<p>Hello, ${escaped(user)}.</p>
       <form method="post" action="/logout"><button>Log out</button></form>
       <form method="post" action="/logout-others"><button>Log out everywhere else</button></form>`,
    );
    return;
  }
  res.send(
    `<p>${escaped(await explanation(req))}</p>
     <form method="post" action="/login"><input name="user"><button>Log in</button></form>`,
  );
});

app.post("/login", (req, res, next) => {
  const { user } = req.body ?? {};
  if (typeof user !== "string" || user === "") return res.redirect("/");
  req.session.regenerate((error) => {
    if (error) return next(error);
    Object.assign(req.session, { user });
    req.session.save((failure) => (failure ? next(failure) : res.redirect("/")));
  });
});

app.post("/logout", (req, res, next) => {
  req.session.destroy((error) => (error ? next(error) : res.redirect("/")));
});

app.post("/logout-others", async (req, res) => {
  const { user } = content(req.session);
  if (user !== undefined) {
    const because = "logged out on another device";
    await store.destroyAllOf(user, { except: req.sessionID, because });
  }
  res.redirect("/");
});

listen(app);
