// How the app makes its store. The scripts of this folder, and `redis-session-store --config`, make theirs of the same.
import { readFileSync } from "node:fs";
import { createClient } from "redis";

/**
 * What this app keeps in a session.
 *
 * @typedef {{ user?: string }} Content
 * @param {object} session
 * @returns {Content}
 */
const content = (session) => session;

/** A file as `rotate-keys.js` writes it. Without it sessions are not sealed. */
const { SESSION_KEYS: file, REDIS_URL: url = "redis://127.0.0.1:6379" } = process.env;

export default () => ({
  client: createClient({ url }).on("error", (error) => console.error(String(error))),
  userId: (/** @type {object} */ session) => content(session).user,
  endings: { keepFor: 86_400 },
  ...(file && {
    encryption: () => ({ ...JSON.parse(readFileSync(file, "utf8")), plaintextUntil: null }),
  }),
});
