// csrf-sync: a token in the session, which a form has to send back.
import { csrfSync } from "csrf-sync";
import express from "express";
import session from "express-session";
import { listen, options, visit } from "./shared.js";

const { csrfSynchronisedProtection, generateToken } = csrfSync({
  getTokenFromRequest: ({ body }) =>
    /** @type {{ token?: string } | undefined} */ (body)?.token ?? null,
});

const app = express();
app.use(session(options));
app.use(express.urlencoded());
app.use(csrfSynchronisedProtection);
app.get("/form", (req, res) => {
  res.send(generateToken(req));
});
app.post("/form", (req, res) => {
  res.send(visit(req.session));
});

listen(app);
