import { asPromise, fill, loadAll } from "./contenders.js";
import { HOT, newSession, newSid, sids } from "./sessions.js";

/** @typedef {import("./contenders.js").Contender} Contender */
/** @typedef {import("./contenders.js").Session} Session */
/** @typedef {import("./measure.js").Work} Work */

const sidAt = (/** @type {number} */ index) => /** @type {string} */ (sids[index % HOT]);
const freshSids = sids.map(newSid);

/** @typedef {(contender: Contender, maxAge: number | null) => Work["prepare"]} Operation */

/** @type {Operation} */
const touchAll = (contender) => async () => {
  const sessions = await loadAll(contender);
  return (index, done) =>
    contender.touch(sidAt(index), /** @type {Session} */ (sessions[index]), done);
};

/** What is measured of a store, by name; each runs on the hot sessions. @satisfies {Record<string, Operation>} */
export const OPERATIONS = {
  get: (contender) => async () => (index, done) => contender.get(sidAt(index), done),
  "set, new session": (contender, maxAge) => async () => {
    await contender.remove(freshSids);
    const sessions = freshSids.map((sid) => ({ sid, session: newSession(sid, null, maxAge) }));
    return (index, done) => {
      const { sid, session } = /** @type {typeof sessions[0]} */ (sessions[index]);
      contender.set(sid, session, done);
    };
  },
  "set, loaded and changed": (contender) => async () => {
    const sessions = await loadAll(contender);
    for (const session of sessions) session.views++;
    return (index, done) =>
      contender.set(sidAt(index), /** @type {Session} */ (sessions[index]), done);
  },
  "set, loaded and not changed": (contender) => async () => {
    const sessions = await loadAll(contender);
    return (index, done) =>
      contender.set(sidAt(index), /** @type {Session} */ (sessions[index]), done);
  },
  destroy: (contender, maxAge) => async () => {
    await fill(contender, maxAge);
    return (index, done) => contender.store?.destroy(sidAt(index), done);
  },
  touch: touchAll,
  "touch that renews (touchAfter: 0)": touchAll,
  "read-only request: get, touch": (contender) => async () => (index, done) =>
    contender.read(sidAt(index), done),
  "the same, with a Session object": (contender) => async () => (index, done) =>
    contender.request(sidAt(index), done),
};

/** Who sends nothing when it reads; @type {ReadonlySet<import("./contenders.js").Name>} */
export const IN_MEMORY = new Set([
  "ours with cache",
  "ours with encryption and cache",
  "JSON.parse alone",
]);

/** How many operations are timed at once: more where they are over soon. */
export const sizeFor = (/** @type {import("./contenders.js").Name} */ name) =>
  IN_MEMORY.has(name) ? 20 * HOT : HOT;

/** @typedef {keyof typeof OPERATIONS} OperationName */

/**
 * How long each of many operations takes that follow each other, in µs.
 *
 * @param {number} count
 * @param {(index: number, done: import("./measure.js").Done) => void} operation
 */
export async function oneByOne(count, operation) {
  const spent = [];
  for (let index = 0; index < count; index++) {
    const begin = performance.now();
    await asPromise((done) => operation(index, done));
    spent.push((performance.now() - begin) * 1000);
  }
  return spent;
}
