// Reads one session and notes what it was.
import type { SessionData } from "express-session";
import type { Report } from "../base/index.js";
import type { Port } from "../client/index.js";
import type { Settings } from "../options.js";
import {
  hasDeadline,
  isOver,
  isThenable,
  type LoadedSessions,
  loadedOf,
  type Records,
  type Renewals,
  refreshExpires,
  type SessionRecord,
  type Value,
} from "../session/index.js";
import type { UserIndex } from "../users/index.js";
import type { CachingPort } from "./cache.js";

/** What reading needs of the store around it. */
export interface ReaderContext {
  readonly port: Port;
  /** The port, where it is one that can answer from memory. */
  readonly cache: CachingPort | undefined;
  readonly settings: Settings;
  readonly records: Records;
  readonly renewals: Renewals;
  readonly loaded: LoadedSessions;
  readonly index: UserIndex | undefined;
}

/** Reads sessions, and notes what they were when the app got them. */
export class Reader {
  readonly #context: ReaderContext;
  readonly #dated: boolean;

  constructor(context: ReaderContext) {
    this.#context = context;
    this.#dated = hasDeadline(context.settings.rules);
  }

  /** The session from memory, or `undefined` where Redis has to be asked. */
  cached(
    sid: string,
    report?: Report,
  ): SessionData | null | Promise<SessionData | null> | undefined {
    const { cache, settings, records } = this.#context;
    const value = cache?.peek(settings.prefix + sid);
    if (value === undefined) return undefined;
    report?.carried(value);
    try {
      const record = records.read(value, sid);
      return isThenable(record)
        ? record.then((read) => this.#handOut(sid, value, read))
        : this.#handOut(sid, value, record);
    } catch {
      // Not a session: the ordinary way says so.
      return undefined;
    }
  }

  async get(sid: string, report?: Report): Promise<SessionData | null> {
    const { port, settings, records, renewals } = this.#context;
    report?.asked();
    const value = await port.get(settings.prefix + sid);
    if (value === null) {
      renewals.forget(sid);
      return null;
    }
    report?.carried(value);
    const record = records.read(value, sid);
    return this.#handOut(sid, value, isThenable(record) ? await record : record);
  }

  /** Makes what Redis holds the session that the app gets, and remembers what it was. */
  #handOut(sid: string, value: Value, record: SessionRecord): SessionData | null {
    const { settings, loaded, index } = this.#context;
    const { session, created: stored } = record;
    const now = Date.now();
    const created = stored ?? now;
    if (this.#dated && isOver(settings.rules, session, sid, created, now)) return null;
    refreshExpires(settings.rules, session, created, now);
    const user = index?.storedUserOf(session);
    const handed = { sid, stored: value, record, dated: this.#dated, now, user, isRow: false };
    loaded.add(session, loadedOf(handed));
    return session as unknown as SessionData;
  }
}
