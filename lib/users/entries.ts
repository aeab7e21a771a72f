// What Redis holds of the index of a user.
import type { Port } from "../client/index.js";
import { INDEX_ADMIT, INDEX_EVICT, INDEX_FORGET, INDEX_PAGE, INDEX_WRITTEN } from "./scripts.js";

/** An entry as Redis has it: the sid, and when its session was last active, or one of these. */
export type Entry = [sid: string, activity: string];

/** The activity of an entry whose place is taken and whose session is being written. */
export const COMING = "inf";
/** The activity of an entry that has lost its place and whose session is being removed. */
export const LEAVING = "-inf";
/** Whatever its activity. */
export const ANY = "";

/** So many keys or entries are sent at a time. */
const BATCH = 1000;

/** What Redis holds of the indexes: for each user two sorted sets in one slot, see the scripts. */
export class Entries {
  readonly #port: Port;
  /** What the names of all indexes start with. */
  readonly #name: string;

  /** @param prefix - of the sessions */
  constructor(port: Port, prefix: string) {
    this.#port = port;
    this.#name = indexName(prefix);
  }

  /**
   * Takes a place for a session, if there is one.
   *
   * @param grace - for how long it is kept until the session is written, in ms
   * @param dead - entries whose sessions are known to be gone
   * @returns who has the places, or `undefined` where one was taken
   */
  async admit(
    user: string,
    sid: string,
    limit: number,
    grace: number,
    dead: Entry[],
  ): Promise<Entry[] | undefined> {
    const args = [sid, String(limit), String(grace), ...dead.flat()];
    const reply = await this.#port.runOn(INDEX_ADMIT, this.#keys(user), args);
    const [isAdmitted, others] = reply as [number, string[]];
    return isAdmitted === 1 ? undefined : paired(others);
  }

  /**
   * Notes that a session was written or renewed.
   *
   * @param expires - in ms since the epoch; `null`: never
   * @param limit - 0 for none
   * @returns the sids that are leaving, and where there are too many, the others
   */
  async written(
    user: string,
    sid: string,
    expires: number | null,
    limit: number,
    isNew: boolean,
  ): Promise<[leaving: string[], others: Entry[]]> {
    const px = expires === null ? "" : String(Math.max(1, expires - Date.now()));
    const args = [sid, px, String(limit), isNew ? "1" : ""];
    const reply = await this.#port.runOn(INDEX_WRITTEN, this.#keys(user), args);
    const [leaving, others] = reply as [string[], string[]];
    return [leaving, paired(others)];
  }

  /** Has those leave that are too many, but not `sid`; the sids that are leaving. */
  async evict(user: string, sid: string, limit: number, dead: Entry[]): Promise<string[]> {
    const args = [sid, String(limit), ...dead.flat()];
    return (await this.#port.runOn(INDEX_EVICT, this.#keys(user), args)) as string[];
  }

  /** Drops entries, where they still have the activity that is given. */
  async forget(user: string, entries: Entry[]): Promise<void> {
    for (let start = 0; start < entries.length; start += BATCH) {
      const batch = entries.slice(start, start + BATCH).flat();
      await this.#port.runOn(INDEX_FORGET, this.#keys(user), batch);
    }
  }

  /** The entries of a user, each once. What is there all the while is not missed. */
  async *of(user: string): AsyncGenerator<Entry[]> {
    const seen = new Set<string>();
    const keys = this.#keys(user);
    let cursor = "0";
    do {
      const reply = (await this.#port.runOn(INDEX_PAGE, keys, [cursor])) as [string, string[]];
      cursor = String(reply[0]);
      const page = paired(reply[1]).filter(([sid]) => !seen.has(sid));
      for (const [sid] of page) seen.add(sid);
      yield page;
    } while (cursor !== "0");
  }

  /** Removes the indexes of all users. */
  async clear(): Promise<void> {
    const names = this.#port.scan(`${this.#name}{`, BATCH, "zset");
    for await (const keys of names) await this.#port.removeMany(keys);
  }

  /** The hash tag keeps both keys in one slot and has no brace or glob of the user's in it. */
  #keys(user: string): string[] {
    const name = `${this.#name}{${Buffer.from(user).toString("base64url")}}`;
    return [`${name}:active`, `${name}:ends`];
  }
}

/**
 * What the names of the indexes beside a session prefix start with: they differ from every session
 * key in the first character.
 */
function indexName(prefix: string): string {
  const name = prefix.startsWith("u") ? ":users-of:" : "users-of:";
  // Only the first braces of a key make a hash tag.
  return name + prefix.replace(/[%{}]/g, (char) => `%${char.charCodeAt(0).toString(16)}`);
}

function paired(flat: string[]): Entry[] {
  return Array.from({ length: flat.length / 2 }, (_, index) => [
    flat[2 * index] as string,
    flat[2 * index + 1] as string,
  ]);
}
