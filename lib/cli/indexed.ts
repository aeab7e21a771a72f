// Knows which sessions the index of their user names.
import type { RedisStore } from "../index.js";

/** So many users are remembered; of more, each is asked for again. */
const REMEMBERED = 1000;

export class Indexed {
  readonly #store: RedisStore;
  readonly #users = new Map<string, Promise<ReadonlySet<string>>>();

  constructor(store: RedisStore) {
    this.#store = store;
  }

  /** Whether a session is there that `destroyAllOf` of its user would not find. */
  async lacks(user: string, sid: string): Promise<boolean> {
    if ((await this.#sidsOf(user)).has(sid)) return false;
    // It may have begun since the index was asked, or be over: then nothing lacks.
    this.#users.delete(user);
    if ((await this.#sidsOf(user)).has(sid)) return false;
    return (await this.#store.get(sid)) !== null;
  }

  #sidsOf(user: string): Promise<ReadonlySet<string>> {
    let sids = this.#users.get(user);
    if (sids === undefined) {
      if (this.#users.size >= REMEMBERED) this.#users.clear();
      sids = this.#store.sessionsOf(user).then(
        (list) => new Set(list.map((one) => one.sid)),
        (error: { code?: string }) => {
          // What is no user, another program wrote: no index names their sessions.
          if (error.code === "ERR_INVALID_SESSION") return new Set();
          throw error;
        },
      );
      this.#users.set(user, sids);
    }
    return sids;
  }
}
