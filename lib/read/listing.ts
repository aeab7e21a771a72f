// Goes through all sessions in batches.
import type { SessionData } from "express-session";
import type { StoreError } from "../base/index.js";
import { type Held, type Port, readMany } from "../client/index.js";
import type { Settings } from "../options.js";
import {
  hasDeadline,
  isOver,
  isThenable,
  type Records,
  type Rows,
  type SessionEntry,
  type Stored,
} from "../session/index.js";

/** A session as `all()` lists it. */
export type ListedSession = SessionData & { id: string };

/** What one call of `page()` lists. */
export interface SessionPage {
  readonly entries: SessionEntry[];
  /** How many keys of this step hold no session that can be read; each is told by the event `corrupt`. */
  readonly unreadable: number;
  /** Where the next page begins; `null`: there is none. */
  readonly cursor: string | null;
}

/** A listing asks for at least so many keys at a time. */
const BATCH = 1000;

/** A listing gives up when nothing has come for so many times `timeout`. */
const PATIENCE = 3;

/** What stands in a listing for a key that holds no session that can be read. */
const UNREADABLE = Symbol("unreadable");

/** `null`: there is none, or it is over. */
type Row = Stored | null | typeof UNREADABLE;

/** What was made of some keys. */
interface Parsed {
  readonly rows: Stored[];
  readonly unreadable: number;
}

/** Everything that goes through all sessions: in batches, never in one command. */
export class Listing {
  readonly #port: Port;
  readonly #settings: Settings;
  readonly #records: Records;
  readonly #rows: Rows;
  readonly #dated: boolean;
  readonly #onCorrupt: (sid: string, error: StoreError) => void;

  /** @param onCorrupt - told of each value that is no session; the listing goes on without it */
  constructor(
    port: Port,
    settings: Settings,
    records: Records,
    rows: Rows,
    onCorrupt: (sid: string, error: StoreError) => void,
  ) {
    this.#port = port;
    this.#settings = settings;
    this.#records = records;
    this.#rows = rows;
    this.#dated = hasDeadline(settings.rules);
    this.#onCorrupt = onCorrupt;
  }

  /** The ids of all sessions, each once. */
  async ids(): Promise<Set<string>> {
    const ids = new Set<string>();
    for await (const keys of this.#batches()) for (const key of keys) ids.add(this.#sidOf(key));
    return ids;
  }

  async all(): Promise<ListedSession[]> {
    const listed: ListedSession[] = [];
    for await (const held of this.#read(this.#unseen(), false)) {
      for (const row of (await this.#parse(held)).rows) {
        listed.push(this.#rows.listed(row));
      }
    }
    return listed;
  }

  async *entries(): AsyncGenerator<SessionEntry, void, undefined> {
    for await (const held of this.#read(this.#batches(), true)) {
      for (const row of (await this.#parse(held)).rows) yield this.#rows.entry(row);
    }
  }

  /** One step of the way through all sessions. */
  async page(from: string | null, limit: number): Promise<SessionPage> {
    const { keys, cursor } = await this.#port.page(this.#settings.prefix, limit, from);
    const entries: SessionEntry[] = [];
    let unreadable = 0;
    for await (const held of this.#read([[...new Set(keys)]], true)) {
      const parsed = await this.#parse(held);
      for (const row of parsed.rows) entries.push(this.#rows.entry(row));
      unreadable += parsed.unreadable;
    }
    return { entries, unreadable, cursor };
  }

  /** Removes all sessions; how many there were. */
  async clear(): Promise<number> {
    let removed = 0;
    for await (const keys of this.#batches()) removed += await this.#port.removeMany(keys);
    return removed;
  }

  #batches(): AsyncIterable<string[]> {
    const { prefix, scanCount } = this.#settings;
    return this.#port.scan(prefix, Math.max(scanCount, BATCH));
  }

  /** The keys, each once. */
  async *#unseen(): AsyncGenerator<string[]> {
    const seen = new Set<string>();
    for await (const keys of this.#batches()) {
      const fresh = keys.filter((key) => seen.size !== seen.add(key).size);
      if (fresh.length > 0) yield fresh;
    }
  }

  /** What keys hold, in groups of a bounded size. */
  #read(
    batches: AsyncIterable<string[]> | string[][],
    measures: boolean,
  ): AsyncGenerator<Held<string>[]> {
    const patience = PATIENCE * this.#settings.timeout;
    return readMany({ port: this.#port, batches, keyOf: (key) => key, patience, measures });
  }

  async #parse(held: Held<string>[]): Promise<Parsed> {
    // All of them begin at once; only what an async serializer does is waited for.
    const begun = held.map((one) => this.#row(one));
    const rows: Stored[] = [];
    let unreadable = 0;
    for (const one of begun) {
      const row = isThenable(one) ? await one : one;
      if (row === UNREADABLE) unreadable++;
      else if (row !== null) rows.push(row);
    }
    return { rows, unreadable };
  }

  #row({ item: key, value, left }: Held<string>): Row | Promise<Row> {
    if (value === null) return null;
    const sid = key.slice(this.#settings.prefix.length);
    try {
      const record = this.#records.read(value, sid);
      if (record === null) return null;
      if (!isThenable(record)) return this.#listed({ sid, value, record, left });
      return record
        .then((read) => this.#listed({ sid, value, record: read, left }))
        .catch((error) => this.#corrupt(sid, error));
    } catch (error) {
      return this.#corrupt(sid, error);
    }
  }

  #listed(stored: Stored): Stored | null {
    const { session, created } = stored.record;
    const now = Date.now();
    const isDead =
      this.#dated && isOver(this.#settings.rules, session, stored.sid, created ?? now, now);
    return isDead ? null : stored;
  }

  #corrupt(sid: string, error: unknown): typeof UNREADABLE {
    this.#onCorrupt(sid, error as StoreError);
    return UNREADABLE;
  }

  #sidOf(key: string): string {
    return key.slice(this.#settings.prefix.length);
  }
}
