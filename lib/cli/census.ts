// Counts the sessions for the doctor: how many, whose, how old, how big, and what is wrong with them.
import { Distinct, isSilence } from "../base/index.js";
import type { RedisStoreOptions, SessionEntry } from "../index.js";
import type { Connection } from "./connect.js";
import type { Console } from "./console.js";
import type { Finding } from "./finding.js";
import { Indexed } from "./indexed.js";
import { bytes, span } from "./text.js";
import { Unreadable } from "./unreadable.js";
import { userOf } from "./user.js";

/** Above this a session is bigger than most; each request carries it, in bytes. */
const BIG = 100_000;

/** So many sessions are looked for in the index at a time. */
const AT_A_TIME = 100;

/** Goes through all sessions once. */
export async function* census(
  { store, options }: Connection,
  terminal: Console,
): AsyncGenerator<Finding> {
  const tally = new Tally(options);
  const unreadable = new Unreadable(store);
  const index = new Indexed(store);
  let unlisted = 0;
  let asked: { user: string; sid: string }[] = [];
  const ask = async (): Promise<void> => {
    const lacking = await Promise.all(asked.map(({ user, sid }) => index.lacks(user, sid)));
    unlisted += lacking.filter(Boolean).length;
    asked = [];
  };
  try {
    for await (const entry of store.sessions()) {
      const user = tally.add(entry);
      terminal.progress(() => `counted ${tally.count} sessions`);
      if (user !== undefined && asked.push({ user, sid: entry.sid }) === AT_A_TIME) await ask();
    }
    await ask();
  } catch (error) {
    if (isSilence(error)) throw error;
    yield { verdict: "unknown", check: "sessions", says: (error as Error).message };
    return;
  }
  yield* tally.findings();
  yield readable(await unreadable.count());
  if (options.userId !== undefined) yield listed(unlisted);
}

/** What was seen of the sessions until now. */
class Tally {
  readonly #options: RedisStoreOptions;
  readonly #begun = Date.now();
  readonly #keys = new Map<string | null, number>();
  readonly #users = new Distinct();
  count = 0;
  #ofUsers = 0;
  #bytes = 0;
  #biggest = { bytes: 0, handle: "" };
  #oldest: number | undefined;
  #endless = 0;

  constructor(options: RedisStoreOptions) {
    this.#options = options;
  }

  /** Counts a session; whose it is. */
  add(entry: SessionEntry): string | undefined {
    this.count++;
    this.#bytes += entry.bytes;
    if (entry.bytes > this.#biggest.bytes) {
      this.#biggest = { bytes: entry.bytes, handle: entry.handle };
    }
    if (entry.created) {
      this.#oldest = Math.min(this.#oldest ?? this.#begun, entry.created.getTime());
    }
    if (entry.expires === null) this.#endless++;
    this.#keys.set(entry.keyId, (this.#keys.get(entry.keyId) ?? 0) + 1);
    const user = userOf(entry, this.#options.userId);
    if (user === undefined) return undefined;
    this.#ofUsers++;
    this.#users.add(user);
    return user;
  }

  *findings(): Generator<Finding> {
    yield this.#number();
    if (this.#options.userId !== undefined) {
      const says = `${this.#ofUsers} sessions are logged in, as ${this.#users.count} users`;
      yield { verdict: "fine", check: "users", says };
    }
    yield this.#sizes();
    yield this.#expiry();
    const { encryption } = this.#options;
    if (encryption !== undefined || [...this.#keys.keys()].some((id) => id !== null)) {
      yield this.#sealing();
    }
  }

  #number(): Finding {
    const age =
      this.#oldest === undefined ? "" : `, the oldest ${span(this.#begun - this.#oldest)} old`;
    const says = `${this.count}, ${bytes(this.#bytes)} in all${age}`;
    return { verdict: "fine", check: "sessions", says };
  }

  #sizes(): Finding {
    const { bytes: most, handle } = this.#biggest;
    const says = this.count === 0 ? "no session" : `the biggest has ${bytes(most)}: ${handle}`;
    const advice = "every request carries its session: keep documents in a database";
    return most < BIG
      ? { verdict: "fine", check: "sizes", says }
      : { verdict: "doubtful", check: "sizes", says, advice };
  }

  #expiry(): Finding {
    if (this.#endless === 0 || this.#options.disableTTL) {
      const says = `${this.count - this.#endless} sessions end by themselves`;
      return { verdict: "fine", check: "expiry", says };
    }
    const says = `${this.#endless} sessions never end`;
    const advice = "something wrote them without an expiry: set one, or end them";
    return { verdict: "doubtful", check: "expiry", says, advice };
  }

  #sealing(): Finding {
    const says =
      [...this.#keys]
        .map(([id, number]) => `${number} ${id === null ? "plain" : `under "${id}"`}`)
        .join(", ") || "no session";
    return !this.#keys.has(null) || this.#options.encryption === undefined
      ? { verdict: "fine", check: "encryption", says }
      : { verdict: "doubtful", check: "encryption", says, advice: "migrate seals what is plain" };
  }
}

function readable(unreadable: number): Finding {
  const check = "content";
  if (unreadable === 0) return { verdict: "fine", check, says: "every session can be read" };
  const says = `${unreadable} keys hold no session that can be read`;
  const advice =
    "another program uses this prefix, or the serializer or a key is not the app's (--config)";
  return { verdict: "broken", check, says, advice };
}

function listed(unlisted: number): Finding {
  const check = "index";
  if (unlisted === 0) {
    return { verdict: "fine", check, says: "every session of a user is listed" };
  }
  const says = `${unlisted} sessions of users are in no index: destroyAllOf() does not find them`;
  return { verdict: "broken", check, says, advice: "migrate lists them" };
}
