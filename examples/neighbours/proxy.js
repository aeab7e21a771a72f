// Behind a proxy that ends TLS: helmet, and a cookie that is as safe as the connection.
import express from "express";
import session from "express-session";
import helmet from "helmet";
import { listen, options, visit } from "./shared.js";

const app = express();
// One proxy: its X-Forwarded-Proto says whether the browser came by https.
app.set("trust proxy", 1);
app.use(helmet());
app.use(
  session({
    ...options,
    name: "sid",
    // "auto": Secure where the browser came by https. With `true` there is no cookie without it.
    cookie: { ...options.cookie, secure: "auto", httpOnly: true },
  }),
);
app.get("/", (req, res) => {
  res.send(visit(req.session));
});

listen(app);
