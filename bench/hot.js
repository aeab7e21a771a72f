import { setTimeout as delay, setImmediate as immediate } from "node:timers/promises";
import { asPromise, fill } from "./contenders.js";
import { oneByOne } from "./operations.js";
import { HOT, sids } from "./sessions.js";

/** @typedef {import("./contenders.js").Contender} Contender */

/**
 * Stores the hot sessions, and has the contender read each of them.
 *
 * @param {Contender} contender
 * @param {number | null} maxAge
 * @param {boolean} isCached whether it is to have them in memory then
 */
export async function fillHot(contender, maxAge, isCached) {
  await fill(contender, maxAge);
  await heat(contender, isCached);
}

/** Has the contender read all hot sessions. @param {Contender} contender @param {boolean} isCached */
export async function heat(contender, isCached) {
  do {
    await Promise.all(sids.map((sid) => asPromise((done) => contender.read(sid, done))));
    // The cache is on when it has its connection.
    if (isCached) await delay(5);
  } while (isCached && !(await isHot(contender)));
}

/**
 * Whether all hot sessions come from memory: then they are there at the end of the turn, before any
 * answer of Redis.
 *
 * @param {Contender} contender
 */
async function isHot(contender) {
  let answered = 0;
  for (const sid of sids) contender.get(sid, () => answered++);
  await immediate();
  return answered === HOT;
}

/**
 * Whether one session comes from memory.
 *
 * @param {import("redis-session-store").RedisStore} store
 * @param {string} sid
 */
export async function isInMemory(store, sid) {
  let isThere = false;
  store.get(sid, (_error, session) => {
    isThere = Boolean(session);
  });
  await immediate();
  return isThere;
}

/**
 * How many commands one operation sends.
 *
 * @param {import("./contenders.js").Client} client
 * @param {Awaited<ReturnType<import("./measure.js").Work["prepare"]>>} operation
 */
export async function countSent(client, operation) {
  let sent = 0;
  const send = client.sendCommand.bind(client);
  client.sendCommand = /** @type {typeof send} */ (
    (/** @type {Parameters<typeof send>} */ ...args) => {
      sent++;
      return send(...args);
    }
  );
  await oneByOne(HOT, operation);
  Reflect.deleteProperty(client, "sendCommand");
  return sent / HOT;
}
