import { setTimeout as delay } from "node:timers/promises";
import { RedisStore } from "redis-session-store";
import { asPromise, connect } from "./contenders.js";
import { isInMemory } from "./hot.js";
import { time } from "./measure.js";
import { serve } from "./processes.js";
import { sidOf } from "./sessions.js";

/** A store over many sessions, in a process of its own. */

/** @typedef {{ do: "time", operation: string } | { do: "cache" }} Request */

const [url, count] = /** @type {[string, string]} */ (process.argv.slice(2));
/** A prime, so that the sessions are different ones. */
const STEP = 7919;
const SIZE = Math.min(1000, Number(count));
const LOAD = { batches: 1, concurrency: 64 };
const prefix = "growth:";
const client = await connect(url);
const store = new RedisStore({ client, prefix, touchAfter: 0 });
const admin = await connect(url);

/** Different sessions from all over the place: nobody else may change what one is about to save. */
function anySids() {
  const start = Math.floor(Math.random() * Number(count));
  return Array.from({ length: SIZE }, (_, index) => sidOf((start + index * STEP) % Number(count)));
}
/** @param {string} sid */
const load = async (sid) =>
  /** @type {{ data: string }} */ (/** @type {unknown} */ (await store.get(sid)));

/** Sessions to work on, loaded by requests of their own. */
async function loaded() {
  const sids = anySids();
  return Promise.all(sids.map(async (sid) => ({ sid, session: await load(sid) })));
}

/** @type {Record<string, import("./measure.js").Work["prepare"]>} */
const operations = {
  get: async () => {
    const sids = anySids();
    return (index, done) => store.get(/** @type {string} */ (sids[index]), done);
  },
  "touch that renews": async () => {
    const sessions = await loaded();
    return (index, done) => {
      const { sid, session } = /** @type {typeof sessions[0]} */ (sessions[index]);
      store.touch(sid, /** @type {never} */ (session), done);
    };
  },
  "set, loaded and changed": async () => {
    const sessions = await loaded();
    return (index, done) => {
      const { sid, session } = /** @type {typeof sessions[0]} */ (sessions[index]);
      session.data = `${session.data.startsWith("x") ? "y" : "x"}${session.data.slice(1)}`;
      store.set(sid, /** @type {never} */ (session), done);
    };
  },
};

/** The processor time that Redis has spent, in µs. */
async function redisCpu() {
  const info = await admin.info("cpu");
  const field = (/** @type {string} */ name) =>
    Number(new RegExp(`^${name}:(\\S+)`, "m").exec(info)?.[1]) * 1e6;
  return field("used_cpu_user") + field("used_cpu_sys");
}

/** What one more session in the cache takes of the memory of the process. */
async function perEntry() {
  const cached = new RedisStore({ client, prefix, cache: { max: Number(count) } });
  const sid = sidOf(0);
  while (!(await isInMemory(cached, sid))) await delay(5);
  const used = () => {
    globalThis.gc?.();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const fill = async (/** @type {number} */ from, /** @type {number} */ to) => {
    for (let index = from; index < to; index++) {
      await asPromise((done) => cached.get(sidOf(index), done));
    }
    await delay(10);
  };
  // The first ones also make whatever there is only once.
  const half = Math.floor(Number(count) / 2);
  await fill(0, half);
  const before = used();
  await fill(half, Number(count));
  const grown = used() - before;
  cached.close();
  return grown / (Number(count) - half);
}

serve(async (/** @type {Request} */ request) => {
  if (request.do === "cache") return perEntry();
  const prepare = /** @type {import("./measure.js").Work["prepare"]} */ (
    operations[request.operation]
  );
  const operation = await prepare();
  const before = await redisCpu();
  const us = await time({ prepare: async () => operation, size: SIZE }, LOAD);
  return { us, redis: ((await redisCpu()) - before) / SIZE };
});
