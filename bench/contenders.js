import { RedisStore as ConnectRedis } from "connect-redis";
import { createClient } from "redis";
import { RedisStore } from "redis-session-store";
import { DAY_MS, HOT, newSession, sids } from "./sessions.js";

/** @typedef {import("./measure.js").Done} Done */
/** @typedef {ReturnType<typeof newSession>} Session */

/**
 * What takes part in a run. Each has a client of its own with default options, and keys of its own.
 *
 * @typedef {object} Contender
 * @property {string} name
 * @property {(sid: string, done: Done) => void} get
 * @property {(sid: string, session: Session, done: Done) => void} set
 * @property {(sid: string, session: Session, done: Done) => void} touch
 * @property {(sid: string, done: Done) => void} read a request that changes nothing, as express-session makes it of get and touch
 * @property {(sid: string, data: unknown) => Session} inflate what express-session does with the result of `get`
 * @property {(sids: string[]) => Promise<unknown>} remove
 */

/** @param {string} url */
export async function connect(url) {
  const client = createClient({ url });
  client.on("error", (error) => {
    throw error;
  });
  await client.connect();
  return client;
}

/** @typedef {Awaited<ReturnType<typeof connect>>} Client */

/**
 * @param {string} name
 * @param {Client} client
 * @param {ConnectRedis | RedisStore<Client>} store
 * @returns {Contender}
 */
function ofStore(name, client, store) {
  /** @type {Contender["inflate"]} */
  const inflate = (sid, data) =>
    /** @type {Session} */ (
      store.createSession(
        /** @type {never} */ ({ sessionID: sid, sessionStore: store }),
        /** @type {Session} */ (data),
      )
    );
  return {
    name,
    get: (sid, done) => void store.get(sid, done),
    set: (sid, session, done) => void store.set(sid, session, done),
    touch: (sid, session, done) => void store.touch(sid, session, done),
    read: (sid, done) =>
      void store.get(sid, (/** @type {unknown} */ error, /** @type {unknown} */ data) => {
        if (error) return done(error);
        const session = inflate(sid, data);
        session.touch();
        void store.touch(sid, session, done);
      }),
    inflate,
    remove: (ids) => client.del(ids.map((sid) => store.prefix + sid)),
  };
}

/** @param {Client} client */
export const connectRedis = (client) =>
  ofStore("connect-redis", client, new ConnectRedis({ client, prefix: "connect-redis:" }));

/** @param {Client} client */
export const ours = (client) =>
  ofStore("redis-session-store", client, new RedisStore({ client, prefix: "ours:" }));

/** @param {Client} client */
export const oursRenewing = (client) =>
  ofStore(
    "redis-session-store, touchAfter: 0",
    client,
    new RedisStore({ client, prefix: "renewing:", touchAfter: 0 }),
  );

/**
 * The client alone, as one would write it by hand: the least that any store has to do.
 *
 * @param {Client} client
 * @returns {Contender}
 */
export function raw(client) {
  const key = (/** @type {string} */ sid) => `raw:${sid}`;
  const left = (/** @type {Session} */ session) =>
    session.cookie.expires ? Number(new Date(session.cookie.expires)) - Date.now() : DAY_MS;
  /** @type {Contender["get"]} */
  const get = (sid, done) => {
    client.get(key(sid)).then((text) => done(null, text && JSON.parse(text)), done);
  };
  return {
    name: "raw client",
    get,
    set: (sid, session, done) => {
      const expiration = /** @type {const} */ ({ type: "PX", value: left(session) });
      client
        .set(key(sid), JSON.stringify(session), { expiration })
        .then((ok) => done(null, ok), done);
    },
    touch: (sid, session, done) => {
      client.pExpire(key(sid), left(session)).then((there) => done(null, there), done);
    },
    // Nothing is renewed: this is the floor, not a way to do it.
    read: get,
    inflate: (_sid, data) => /** @type {Session} */ (data),
    remove: (ids) => client.del(ids.map(key)),
  };
}

/**
 * Stores new sessions, the hot ones unless given.
 *
 * @param {Contender} contender
 * @param {number | null} maxAge
 */
export async function fill(contender, maxAge, ids = sids) {
  const set = (/** @type {string} */ sid) =>
    asPromise((done) => contender.set(sid, newSession(sid, null, maxAge), done));
  await Promise.all(ids.map(set));
}

/**
 * The hot sessions, each loaded as by a request of its own.
 *
 * @param {Contender} contender
 */
export function loadAll(contender) {
  return Promise.all(
    Array.from({ length: HOT }, async (_, index) => {
      const sid = /** @type {string} */ (sids[index]);
      return contender.inflate(sid, await asPromise((done) => contender.get(sid, done)));
    }),
  );
}

/** @param {(done: Done) => void} start @returns {Promise<unknown>} */
export function asPromise(start) {
  return new Promise((resolve, reject) => {
    start((error, result) => (error ? reject(error) : resolve(result)));
  });
}
