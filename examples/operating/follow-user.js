// Follows one user: the sessions that there are, then what becomes of them, until Ctrl-C.
//
//   node follow-user.js ada
import { open } from "./open.js";

const [user] = process.argv.slice(2);
if (user === undefined) throw new Error("usage: follow-user.js USER");
const { store } = await open();
const events = await store.watch();
/** Their handles; a session id belongs in no log. @type {Set<string>} */
const known = new Set();

/** @param {string} what @param {string} handle */
const tell = (what, handle) => console.log(`${new Date().toISOString()} ${what} ${handle}`);

/** Looks which sessions are the user's now; those that were not known are told. */
async function look() {
  for (const { handle } of await store.sessionsOf(/** @type {string} */ (user))) {
    if (known.has(handle)) continue;
    known.add(handle);
    tell("is there", handle);
  }
}

/** Of many events one look is enough, if it begins after the last of them. */
let isLooking = false;
let isAsked = false;
async function lookSoon() {
  isAsked = true;
  if (isLooking) return;
  isLooking = true;
  while (isAsked) {
    isAsked = false;
    await look().catch((error) => console.error(String(error)));
  }
  isLooking = false;
}

/** @param {string} event @param {string} handle */
async function ended(event, handle) {
  const why = await store.whyGone({ handle }).catch(() => null);
  const words = [why?.reason, why?.because].filter(Boolean).join(": ");
  tell(words === "" ? event : `${event} (${words})`, handle);
}

// A login is an update of a session that nobody had, or a new one.
for (const event of /** @type {const} */ (["created", "updated"])) {
  events.on(event, (_sid, handle) => {
    if (known.has(handle)) tell(event, handle);
    else void lookSoon();
  });
}
events.on("touched", (_sid, handle) => {
  if (known.has(handle)) tell("touched", handle);
});
for (const event of /** @type {const} */ (["destroyed", "expired"])) {
  events.on(event, (_sid, handle) => {
    if (known.delete(handle)) void ended(event, handle);
  });
}
// What happened while the connection was lost is not told.
events.on("gap", () => void lookSoon());
events.on("error", (error) => console.error(error.message));
await look();
console.log(`following ${user}`);
