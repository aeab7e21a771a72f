// passport: a login gives the session a new id, a logout ends it.
import express from "express";
import session from "express-session";
import passport from "passport";
import { content, listen, options, visit } from "./shared.js";

/** Stands for a strategy that looks at a password. */
class Trusting extends passport.Strategy {
  /** @override */
  name = "trusting";

  /**
   * @override
   * @param {express.Request} req
   */
  authenticate(req) {
    const { user } = /** @type {{ user?: string }} */ (req.body ?? {});
    if (user) this.success({ id: user });
    else this.fail(401);
  }
}

passport.use(new Trusting());
passport.serializeUser((user, done) => done(null, /** @type {{ id: string }} */ (user).id));
passport.deserializeUser((/** @type {string} */ id, done) => done(null, { id }));

const app = express();
app.use(session(options));
app.use(express.urlencoded());
app.use(passport.session());
app.get("/", (req, res) => {
  res.send(visit(req.session));
});
app.get("/me", (req, res) => {
  const { id } = /** @type {{ id?: string }} */ (req.user ?? {});
  res.json({ user: id ?? null, visits: content(req.session).visits ?? 0 });
});
app.post("/login", passport.authenticate("trusting"), (_req, res) => {
  res.send("welcome\n");
});
app.post("/logout", (req, res, next) => {
  req.logout((error) => (error ? next(error) : res.send("bye\n")));
});
// It may still be under way when the user logs out.
app.put("/upload", (req, res) => {
  req.resume().on("end", () => {
    content(req.session).visits = 1000;
    res.send("stored\n");
  });
});

listen(app);
