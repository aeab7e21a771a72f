// Reads the lines of export-sessions.js into a store of express-session: another one, or this one again.
//
//   node import-sessions.js ./new-store.js < sessions.jsonl    `new-store.js` exports the store by default
//   node import-sessions.js < sessions.jsonl                   into Redis, back
//
// A session that the store has already is left alone, so it may be run again. One that was ended after
// the export would return: begin when nobody is logged out any more, or end those once more.
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { open } from "./open.js";

/** @typedef {import("express-session").Store} Store */

const [file] = process.argv.slice(2);
const opened = file === undefined ? await open() : undefined;
/** @type {Store} */
const store =
  opened?.store ??
  (await import(pathToFileURL(resolve(/** @type {string} */ (file))).href)).default;

/** @param {string} sid @returns {Promise<boolean>} */
const has = (sid) =>
  new Promise((found, failed) => {
    store.get(sid, (error, session) => (error ? failed(error) : found(Boolean(session))));
  });

/** @param {string} sid @param {import("express-session").SessionData} session @returns {Promise<void>} */
const put = (sid, session) =>
  new Promise((done, failed) => {
    store.set(sid, session, (error) => (error ? failed(error) : done()));
  });

const counts = { read: 0, there: 0, over: 0 };
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "") continue;
  const { sid, expires, session } = JSON.parse(line);
  if (expires !== null && Date.parse(expires) <= Date.now()) counts.over++;
  else if (await has(sid)) counts.there++;
  else {
    // The date in the cookie is what stores go by; it may be older than what Redis knew.
    const { cookie = {} } = session;
    const date = expires === null ? null : new Date(expires);
    await put(sid, { ...session, cookie: { ...cookie, expires: date } });
    counts.read++;
  }
}
console.error(`${counts.read} read, ${counts.there} there already, ${counts.over} over`);
await opened?.close();
process.exit(0);
