// After a leak: ends the sessions of everyone, and leaves the reason for the login page.
//
//   node end-everyone.js "Passwords were stolen. Log in again."          says how many it would end
//   node end-everyone.js "Passwords were stolen. Log in again." --yes    ends them
//
// Stop the leak first: a new secret for cookies, a new key, a new password of Redis. Whoever logs in
// while this runs may be logged out once more. It may be stopped and run again. Where no reason is
// needed, `redis-session-store end --all` is faster.
import { each, open } from "./open.js";

const [because, flag] = process.argv.slice(2);
if (because === undefined) throw new Error('usage: end-everyone.js "why" [--yes]');
const { store, close } = await open();
let unreadable = 0;
store.on("corrupt", () => unreadable++);

if (flag === "--yes") {
  let ended = 0;
  await each(store.sessions(), 100, async ({ sid }) => {
    const removed = await store.destroy(sid, { because });
    ended += removed;
  });
  console.log(`${ended} sessions ended, ${await store.length()} left`);
} else {
  console.log(`${await store.length()} sessions would be ended; add --yes`);
}
// Such a session opens for nobody who has the right keys; clear() ends it too, without a note.
if (unreadable > 0) console.log(`${unreadable} cannot be read, and were left`);
await close();
