// Goes through all sessions in batches.
import type { SessionData } from "express-session";
import type { Port } from "../client/index.js";
import type { Settings } from "../options.js";
import {
  entryOf,
  hasDeadline,
  isOver,
  isThenable,
  type Records,
  type SessionEntry,
  type SessionRecord,
  type Value,
} from "../session/index.js";

/** A session as `all()` lists it. */
export type ListedSession = SessionData & { id: string };

/** What one call of `page()` lists. */
export interface SessionPage {
  readonly entries: SessionEntry[];
  /** Where the next page begins; `null`: there is none. */
  readonly cursor: string | null;
}

/** A session that was read. */
interface Row {
  readonly sid: string;
  readonly value: Value;
  readonly record: SessionRecord;
}

interface Values {
  readonly keys: string[];
  readonly values: (Value | null)[];
}

/** A listing asks for at least so many keys at a time. */
const BATCH = 1000;

/** Everything that goes through all sessions: in batches, never in one command. */
export class Listing {
  readonly #port: Port;
  readonly #settings: Settings;
  readonly #records: Records;
  readonly #dated: boolean;
  readonly #onCorrupt: (sid: string, error: unknown) => void;

  /** @param onCorrupt - told of each value that is no session; the listing goes on without it */
  constructor(
    port: Port,
    settings: Settings,
    records: Records,
    onCorrupt: (sid: string, error: unknown) => void,
  ) {
    this.#port = port;
    this.#settings = settings;
    this.#records = records;
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
    for await (const { keys, values } of this.#values(this.#unseen())) {
      for (const row of await this.#parse(keys, values)) {
        if (row === null) continue;
        const session = row.record.session as unknown as ListedSession;
        if (!Object.hasOwn(session, "id")) session.id = row.sid;
        listed.push(session);
      }
    }
    return listed;
  }

  async *entries(): AsyncGenerator<SessionEntry, void, undefined> {
    for await (const values of this.#values(this.#batches())) yield* await this.#entriesOf(values);
  }

  /** One step of the way through all sessions. */
  async page(from: string | null, limit: number): Promise<SessionPage> {
    const { keys, cursor } = await this.#port.page(this.#settings.prefix, limit, from);
    const unique = [...new Set(keys)];
    const values = await this.#port.getMany(unique);
    return { entries: await this.#entriesOf({ keys: unique, values }), cursor };
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

  /** The values of keys, a batch ahead: Redis looks them up while those before are parsed. */
  async *#values(batches: AsyncIterable<string[]>): AsyncGenerator<Values> {
    let ahead: Promise<Values> | undefined;
    for await (const keys of batches) {
      const next = this.#port.getMany(keys).then((values) => ({ keys, values }));
      // Nobody may be there any more to wait for it.
      next.catch(() => {});
      if (ahead !== undefined) yield await ahead;
      ahead = next;
    }
    if (ahead !== undefined) yield await ahead;
  }

  async #entriesOf({ keys, values }: Values): Promise<SessionEntry[]> {
    const [rows, lefts] = await Promise.all([
      this.#parse(keys, values),
      this.#port.remaining(keys),
    ]);
    return rows.flatMap((row, index) => {
      const left = lefts[index] ?? null;
      // It may have expired between the two questions.
      return row === null || left === null
        ? []
        : [entryOf(this.#settings.prefix, { ...row, left })];
    });
  }

  async #parse(keys: string[], values: (Value | null)[]): Promise<(Row | null)[]> {
    // All of them begin at once; only what an async serializer does is waited for.
    const begun = values.map((value, index) =>
      this.#row(this.#sidOf(keys[index] as string), value),
    );
    const rows: (Row | null)[] = [];
    for (const row of begun) rows.push(isThenable(row) ? await row : row);
    return rows;
  }

  #row(sid: string, value: Value | null): Row | null | Promise<Row | null> {
    if (value === null) return null;
    try {
      const record = this.#records.read(value, sid);
      if (record === null) return null;
      if (!isThenable(record)) return this.#listed(sid, value, record);
      return record
        .then((read) => this.#listed(sid, value, read))
        .catch((error) => this.#corrupt(sid, error));
    } catch (error) {
      return this.#corrupt(sid, error);
    }
  }

  #listed(sid: string, value: Value, record: SessionRecord): Row | null {
    const { session, created } = record;
    const now = Date.now();
    if (this.#dated && isOver(this.#settings.rules, session, sid, created ?? now, now)) return null;
    return { sid, value, record };
  }

  #corrupt(sid: string, error: unknown): null {
    this.#onCorrupt(sid, error);
    return null;
  }

  #sidOf(key: string): string {
    return key.slice(this.#settings.prefix.length);
  }
}
