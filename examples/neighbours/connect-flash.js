// connect-flash: a message that the next page shows once.
import flash from "connect-flash";
import express from "express";
import session from "express-session";
import { listen, options } from "./shared.js";

const app = express();
app.use(session(options));
app.use(flash());
app.use(express.urlencoded());
app.post("/notes", (req, res) => {
  req.flash("info", `saved: ${/** @type {{ note: string }} */ (req.body).note}`);
  // The browser may ask for the next page before a save at the end of this response is done.
  req.session.save((error) => {
    if (error) res.sendStatus(500);
    else res.redirect("/");
  });
});
app.get("/", (req, res) => {
  res.send(req.flash("info").join("\n"));
});

listen(app);
