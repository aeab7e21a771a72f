// What Redis holds of the index of a user.
import type { Port } from "../client/index.js";
import {
  INDEX_CLEAR,
  INDEX_EVICT,
  INDEX_EXPECT,
  INDEX_FORGET,
  INDEX_PAGE,
  INDEX_WRITTEN,
} from "./scripts.js";

/** An entry as Redis has it. */
export interface Entry {
  readonly sid: string;
  /** When its session was last active, as text of which nothing is known but by the functions below. */
  readonly activity: string;
}

/** Entries that were read at one time. */
export interface Page {
  readonly entries: Entry[];
  /** What the server's clock showed then, in ms. */
  readonly now: number;
}

/** What became of the question for a place. */
export type Place =
  /** It had one before, or has one now. */
  | { readonly isTaken: true; readonly isNew: boolean; readonly activity: string }
  /** How many have to go for one to be free. */
  | { readonly isTaken: false; readonly excess: number };

/** What is known of a session that was written: it was stored anew, it is there, or its command was sent. */
export type Known = "new" | "there" | "sent";

/** What became of the note that a session was written. */
export interface Written {
  /** `undefined`: there is none, and none was made for what was only sent. */
  readonly entry: Entry | undefined;
  /** How many sessions are too many. */
  readonly excess: number;
  /** Whose sessions are to be removed. */
  readonly leaving: Entry[];
}

/** The activity of an entry that has lost its place and whose session is being removed. */
const LEAVING = "-inf";
/** From here on, an activity says since when, in ms, a place is taken for what is being written. */
const COMING = 8e15;
/** Whatever its activity. */
export const ANY = "";

/** So many entries are sent at a time. */
const BATCH = 1000;
/** So many sessions at the most lose their place at a time, see the scripts. */
export const MOST_LEAVING = 1000;
/** So many indexes are cleared at a time. */
const CLEARED = 100;

export function isLeaving({ activity }: Entry): boolean {
  return activity === LEAVING;
}

/**
 * Whether the session of an entry may be being written, so that it proves nothing if it is not there.
 *
 * @param now - by the clock of the server, in ms
 * @param grace - how long a write may take, in ms
 */
export function isComing({ activity }: Entry, now: number, grace: number): boolean {
  const number = numberOf(activity);
  // Version 1.0.0 marks them by infinity, and lets them lapse.
  return (
    number === Number.POSITIVE_INFINITY || (number >= COMING && now - (number - COMING) < grace)
  );
}

/** When its session was last active, in ms by the clock of the server. */
export function activeAt({ activity }: Entry, now: number): number {
  const number = numberOf(activity);
  if (number === Number.POSITIVE_INFINITY) return now;
  return number >= COMING ? number - COMING : number / 1000;
}

function numberOf(activity: string): number {
  return activity === "inf" ? Number.POSITIVE_INFINITY : Number(activity);
}

/** What Redis holds of the indexes: for each user two sorted sets in one slot, see the scripts. */
export class Entries {
  readonly #port: Port;
  /** What the names of all indexes start with. */
  readonly #name: string;

  readonly #margin: number;

  /**
   * @param prefix - of the sessions
   * @param margin - how much longer than its session an entry lives, in ms: each is written by a command
   *   of its own, and that of the session may come later by so much
   */
  constructor(port: Port, prefix: string, margin: number) {
    this.#port = port;
    this.#margin = margin;
    this.#name = indexName(prefix);
  }

  /**
   * Takes a place for a session that is perhaps being written.
   *
   * @param expires - when the session would end, in ms since the epoch; `null`: never
   * @param limit - 0 for none
   * @param isBack - whether one that is leaving gets its place back
   */
  async expect(
    user: string,
    sid: string,
    expires: number | null,
    limit: number,
    isBack: boolean,
  ): Promise<Place> {
    const args = [sid, this.#left(expires), String(limit), isBack ? "1" : ""];
    const reply = await this.#port.runOn(INDEX_EXPECT, this.#keys(user), args);
    const [outcome, more] = reply as [number, string];
    return outcome === 0
      ? { isTaken: false, excess: Number(more) }
      : { isTaken: true, isNew: outcome === 1, activity: more };
  }

  /**
   * Notes that a session was written or renewed.
   *
   * @param expires - in ms since the epoch; `null`: never
   * @param limit - 0 for none
   * @param known - what is stored anew has its place again; for what was only sent no entry is made
   */
  async written(
    user: string,
    sid: string,
    expires: number | null,
    limit: number,
    known: Known,
  ): Promise<Written> {
    const args = [sid, this.#left(expires), String(limit), known];
    const reply = await this.#port.runOn(INDEX_WRITTEN, this.#keys(user), args);
    const [activity, excess, leaving] = reply as [string | null, number, string[]];
    const entry = activity === null ? undefined : { sid, activity };
    return { entry, excess, leaving: leaving.map(left) };
  }

  /** Has those leave that are too many, but not `sid`; those that are leaving, at most `MOST_LEAVING` at a time. */
  async evict(user: string, sid: string, limit: number): Promise<Entry[]> {
    const reply = await this.#port.runOn(INDEX_EVICT, this.#keys(user), [sid, String(limit)]);
    return (reply as string[]).map(left);
  }

  /** Drops entries, where they still have the activity that is given. */
  async forget(user: string, entries: readonly Entry[]): Promise<void> {
    for (let start = 0; start < entries.length; start += BATCH) {
      const batch = entries.slice(start, start + BATCH);
      const args = batch.flatMap(({ sid, activity }) => [sid, activity]);
      await this.#port.runOn(INDEX_FORGET, this.#keys(user), args);
    }
  }

  /** The entries of a user, each once. What is there all the while is not missed. */
  async *of(user: string): AsyncGenerator<Page> {
    const seen = new Set<string>();
    const keys = this.#keys(user);
    let cursor = "0";
    do {
      const reply = await this.#port.runOn(INDEX_PAGE, keys, [cursor]);
      const [next, flat, now] = reply as [string, string[], number];
      cursor = String(next);
      const entries = paired(flat).filter(({ sid }) => seen.size !== seen.add(sid).size);
      yield { entries, now: Number(now) };
    } while (cursor !== "0");
  }

  /** Drops the entries of all users whose sessions were last active before `time`, in µs. */
  async clear(time: number): Promise<void> {
    const clear = async (name: string) => {
      const keys = [name, name.replace(/:active$/, ":ends")];
      const args = [String(time)];
      while (Number(await this.#port.runOn(INDEX_CLEAR, keys, args)) > 0);
    };
    for await (const names of this.#port.scan(`${this.#name}{`, BATCH, "zset")) {
      const own = names.filter((name) => name.endsWith(":active"));
      for (let start = 0; start < own.length; start += CLEARED) {
        await Promise.all(own.slice(start, start + CLEARED).map(clear));
      }
    }
  }

  /** What an entry is to live, for the scripts: a point in time as what is left until then. */
  #left(expires: number | null): string {
    if (expires === null) return "";
    return String(Math.max(1, Math.ceil(expires - Date.now())) + this.#margin);
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

function left(sid: string): Entry {
  return { sid, activity: LEAVING };
}

function paired(flat: string[]): Entry[] {
  return Array.from({ length: flat.length / 2 }, (_, index) => ({
    sid: flat[2 * index] as string,
    activity: flat[2 * index + 1] as string,
  }));
}
