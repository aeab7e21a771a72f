import { randomBytes } from "node:crypto";
import { RedisStore as ConnectRedis } from "connect-redis";
import session from "express-session";
import { createClient } from "redis";
import { RedisStore } from "redis-session-store";
import { DAY_MS, HOT, newSession, sids } from "./sessions.js";

/** @typedef {import("./measure.js").Done} Done */
/** @typedef {ReturnType<typeof newSession>} Session */

/**
 * What takes part in a run. Each has a client of its own, and keys of its own.
 *
 * @typedef {object} Contender
 * @property {string} name
 * @property {(sid: string, done: Done) => void} get
 * @property {(sid: string, session: Session, done: Done) => void} set
 * @property {(sid: string, session: Session, done: Done) => void} touch
 * @property {(sid: string, done: Done) => void} read what a request that changes nothing asks of the store: get and touch
 * @property {(sid: string, done: Done) => void} request the same with the Session object that express-session makes in between
 * @property {(sid: string, data: unknown) => Session} inflate what express-session does with the result of `get`
 * @property {(sids: string[]) => Promise<unknown>} remove
 * @property {session.Store} [store] what express-session takes
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
    store,
    get: (sid, done) => void store.get(sid, done),
    set: (sid, session, done) => void store.set(sid, session, done),
    touch: (sid, session, done) => void store.touch(sid, session, done),
    read: (sid, done) =>
      void store.get(sid, (/** @type {unknown} */ error, /** @type {unknown} */ data) => {
        if (error) return done(error);
        void store.touch(sid, /** @type {Session} */ (data), done);
      }),
    request: (sid, done) =>
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

/** The session objects of express-session, without a store. */
const plain = new session.MemoryStore();

/** @type {Contender["inflate"]} */
const inflateAlone = (sid, data) =>
  /** @type {Session} */ (
    plain.createSession(
      /** @type {never} */ ({ sessionID: sid, sessionStore: plain }),
      /** @type {never} */ (data),
    )
  );

/**
 * The client alone, as one would write it by hand.
 *
 * @param {string} name
 * @param {Client} client
 * @returns {Contender}
 */
function ofClient(name, client) {
  const key = (/** @type {string} */ sid) => `${name}:${sid}`;
  const left = (/** @type {Session} */ session) =>
    session.cookie.expires ? Number(new Date(session.cookie.expires)) - Date.now() : DAY_MS;
  /** @type {Contender["get"]} */
  const get = (sid, done) => {
    client.get(key(sid)).then((text) => done(null, text && JSON.parse(text)), done);
  };
  return {
    name,
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
    request: (sid, done) =>
      get(sid, (error, data) => (error ? done(error) : done(null, inflateAlone(sid, data)))),
    inflate: (_sid, data) => /** @type {Session} */ (data),
    remove: (ids) => client.del(ids.map(key)),
  };
}

/**
 * Memory alone: the least that handing out a session of one's own costs.
 *
 * @returns {Contender}
 */
function ofMemory() {
  /** @type {Map<string, string>} */
  const texts = new Map();
  /** @type {Contender["get"]} */
  const get = (sid, done) => done(null, JSON.parse(/** @type {string} */ (texts.get(sid))));
  return {
    name: "JSON.parse alone",
    get,
    set: (sid, session, done) => done(null, texts.set(sid, JSON.stringify(session))),
    touch: (_sid, _session, done) => done(),
    read: get,
    request: (sid, done) => get(sid, (_error, data) => done(null, inflateAlone(sid, data))),
    inflate: (_sid, data) => /** @type {Session} */ (data),
    remove: async (ids) => ids.map((sid) => texts.delete(sid)),
  };
}

const encryption = { keys: { bench: randomBytes(32) }, write: "bench", plaintextUntil: null };

/** How each contender is made, by its name. */
export const CONTENDERS = {
  "connect-redis": (/** @type {Client} */ client) =>
    ofStore("connect-redis", client, new ConnectRedis({ client, prefix: "connect-redis:" })),
  ours: (/** @type {Client} */ client) =>
    ofStore("ours", client, new RedisStore({ client, prefix: "ours:" })),
  "ours with cache": (/** @type {Client} */ client) =>
    ofStore(
      "ours with cache",
      client,
      new RedisStore({ client, prefix: "cached:", cache: { max: 10_000 } }),
    ),
  "ours with encryption": (/** @type {Client} */ client) =>
    ofStore("encryption", client, new RedisStore({ client, prefix: "sealed:", encryption })),
  "ours with encryption and cache": (/** @type {Client} */ client) =>
    ofStore(
      "encryption and cache",
      client,
      new RedisStore({ client, prefix: "sealed-cached:", encryption, cache: { max: 10_000 } }),
    ),
  "ours with endings": (/** @type {Client} */ client) =>
    ofStore(
      "endings",
      client,
      new RedisStore({ client, prefix: "endings:", endings: { keepFor: 3600 } }),
    ),
  "ours, touchAfter: 0": (/** @type {Client} */ client) =>
    ofStore(
      "ours, touchAfter: 0",
      client,
      new RedisStore({ client, prefix: "renewing:", touchAfter: 0 }),
    ),
  "raw client": (/** @type {Client} */ client) => ofClient("raw client", client),
  "raw client, no timeout": (/** @type {Client} */ client) =>
    ofClient(
      "raw client, no timeout",
      /** @type {Client} */ (
        /** @type {unknown} */ (
          client.withCommandOptions(/** @type {object} */ ({ timeout: undefined }))
        )
      ),
    ),
  "JSON.parse alone": ofMemory,
};

/** @typedef {keyof typeof CONTENDERS} Name */

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
