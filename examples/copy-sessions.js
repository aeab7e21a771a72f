// Copies the live sessions of another store to Redis, each with the time that it has left.
//
//   node examples/copy-sessions.js ./old-store.js            what would be copied
//   node examples/copy-sessions.js ./old-store.js --write    copies
//
// `old-store.js` exports the other store by default. A MemoryStore lives in its process only: call
// `copySessions` there, before it ends. A copy that was interrupted goes on where it stopped; sessions
// that Redis has already are left alone, and one that was copied and then logged out does not return.
import { createHash } from "node:crypto";
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { createClient } from "redis";
import { RedisStore } from "redis-session-store";

/**
 * @typedef {Record<string, unknown> & { cookie?: { expires?: unknown, originalMaxAge?: unknown } | null }} Session
 * @typedef {{ sid: string, session: Session, expires?: Date | undefined }} Entry
 * @typedef {{ all?(callback: (error: unknown, sessions?: unknown) => void): unknown }} OldStore
 * @typedef {{ exists(key: string): Promise<number>, sendCommand(command: string[]): Promise<unknown> }} Client
 * @typedef {{ copied: number, there: number, before: number, over: number, broken: number }} Counts
 */

/**
 * @param {OldStore} from
 * @param {Client} client the client of `store`
 * @param {RedisStore} store
 * @param {{ write?: boolean, done?: string, report?: (counts: Counts, total: number) => void }} [options]
 *   `write`: otherwise nothing is written; `done`: the file that remembers what is done
 * @returns {Promise<Counts>}
 */
export async function copySessions(from, client, store, options = {}) {
  const { write = false, done = "copied-sessions.txt", report = () => {} } = options;
  const before = new Set(existsSync(done) ? readFileSync(done, "utf8").split("\n") : []);
  const counts = { copied: 0, there: 0, before: 0, over: 0, broken: 0 };
  const entries = await entriesOf(from);
  for (const [index, { sid, session, expires }] of entries.entries()) {
    const end = endOf(session, expires, store);
    // The file is no list of credentials.
    const mark = createHash("sha256").update(sid).digest("hex");
    if (end === undefined) counts.broken++;
    else if (before.has(mark)) counts.before++;
    else if (end <= Date.now()) counts.over++;
    else {
      const isNew = await put(client, store, sid, session, end, write);
      counts[isNew ? "copied" : "there"]++;
      if (write) appendFileSync(done, `${mark}\n`, { mode: 0o600 });
    }
    if ((index + 1) % 1000 === 0 || index + 1 === entries.length) report(counts, entries.length);
  }
  return counts;
}

/**
 * @param {Client} client
 * @param {RedisStore} store
 * @param {string} sid
 * @param {Session} session
 * @param {number} end
 * @param {boolean} write
 * @returns {Promise<boolean>} whether Redis did not have it
 */
async function put(client, store, sid, session, end, write) {
  const key = store.prefix + sid;
  if (!write) return (await client.exists(key)) === 0;
  const text = String(await store.serializer.stringify(session));
  const left = Math.max(1, end - Date.now());
  return (await client.sendCommand(["SET", key, text, "PX", String(left), "NX"])) !== null;
}

/**
 * When a session ends, in ms since the epoch; `undefined` for what is no session.
 *
 * @param {Session} session
 * @param {Date | undefined} expires where the old store knows better than the cookie
 * @param {RedisStore} store
 */
function endOf(session, expires, store) {
  if (typeof session !== "object" || session === null) return undefined;
  const { cookie } = session;
  const date = expires ?? cookie?.expires;
  // A store that renews without writing leaves an old date in the cookie.
  if (expires !== undefined && cookie?.expires) cookie.expires = expires.toISOString();
  if (!date) return Date.now() + (typeof store.ttl === "number" ? store.ttl : 86_400) * 1000;
  const end = new Date(/** @type {string | Date} */ (date)).getTime();
  return Number.isNaN(end) ? undefined : end;
}

/**
 * What `all()` gives: an object of sessions by their ids (MemoryStore), or a list.
 *
 * @param {OldStore & { collectionP?: PromiseLike<unknown> }} store
 * @returns {Promise<Entry[]>}
 */
async function entriesOf(store) {
  /** @type {Document[]} */
  const documents = [];
  const watched = store.collectionP === undefined ? store : watch(store, documents);
  const found = await new Promise((resolve, reject) => {
    if (typeof watched.all !== "function") throw new Error("the old store has no all()");
    watched.all((error, sessions) => (error ? reject(error) : resolve(sessions ?? [])));
  });
  if (!Array.isArray(found)) {
    return Object.entries(/** @type {object} */ (found)).map(([sid, session]) => ({
      sid,
      session,
    }));
  }
  return found.map((session, index) => {
    const document = documents[index];
    if (document) return { sid: String(document._id), session, expires: document.expires };
    const { id, sid = id, ...data } = session;
    if (typeof sid !== "string") throw new Error("all() of the old store tells no session ids");
    return { sid, session: data };
  });
}

/**
 * @typedef {{ _id: unknown, expires?: Date }} Document
 * @typedef {{ find(...query: unknown[]): AsyncIterable<Document> }} Collection
 */

/**
 * connect-mongo gives the sessions without their ids and without the date that `touch` moves. Both
 * are in the documents that its `all()` goes through.
 *
 * @param {OldStore & { collectionP?: PromiseLike<unknown> }} store
 * @param {Document[]} documents filled while it goes
 * @returns {OldStore}
 */
function watch(store, documents) {
  const collectionP = /** @type {PromiseLike<Collection>} */ (store.collectionP).then(
    (collection) => ({
      /** @param {unknown[]} query */
      async *find(...query) {
        for await (const document of collection.find(...query)) {
          documents.push(document);
          yield document;
        }
      },
    }),
  );
  return Object.create(store, { collectionP: { value: collectionP } });
}

if (process.argv[1] !== undefined && fileURLToPath(import.meta.url) === resolve(process.argv[1])) {
  const [file, flag] = process.argv.slice(2);
  if (file === undefined) throw new Error("usage: copy-sessions.js <old store> [--write]");
  const client = createClient({ url: process.env.REDIS_URL ?? "redis://127.0.0.1:6379" });
  client.on("error", (error) => console.error(String(error)));
  await client.connect();
  const { default: from } = await import(pathToFileURL(resolve(file)).href);
  const write = flag === "--write";
  const told = await copySessions(from, client, new RedisStore({ client }), {
    write,
    report: ({ copied, there, before, over, broken }, total) => {
      const seen = copied + there + before + over + broken;
      console.log(
        `${seen} of ${total}: ${copied} ${write ? "copied" : "to copy"}, ${there} in Redis already, ${before} copied before, ${over} over, ${broken} no sessions`,
      );
    },
  });
  if (!write && told.copied > 0) console.log("nothing was written; add --write to copy");
  process.exit(0);
}
