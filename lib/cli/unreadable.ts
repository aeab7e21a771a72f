// Counts the keys that a listing leaves out, because they hold no session that can be read.
import { setImmediate as turn } from "node:timers/promises";
import type { RedisStore } from "../index.js";

export class Unreadable {
  #count = 0;

  /** Counts from now on. */
  constructor(store: RedisStore) {
    store.on("corrupt", () => this.#count++);
  }

  /** How many there were until now. The store tells of them in a turn of its own. */
  async count(): Promise<number> {
    await turn();
    return this.#count;
  }
}
