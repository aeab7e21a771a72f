// Opens the app's store for a script that ends when it is done.
import { RedisStore } from "redis-session-store";
import options from "./store.config.js";

/** The store, connected, with what is to be called at the end. */
export async function open() {
  const configured = options();
  const { client } = configured;
  await client.connect();
  return { store: new RedisStore(configured), configured, close: () => client.close() };
}

/**
 * Does something with each of many, so many at a time.
 *
 * @template T
 * @param {AsyncIterable<T>} many
 * @param {number} most
 * @param {(one: T) => Promise<void>} work
 */
export async function each(many, most, work) {
  /** @type {Set<Promise<void>>} */
  const busy = new Set();
  for await (const one of many) {
    const done = work(one).finally(() => busy.delete(done));
    busy.add(done);
    if (busy.size >= most) await Promise.race(busy);
  }
  await Promise.all(busy);
}
