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
  type Refusal,
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
  /** Told of what is there and counts as missing. */
  onRefused(sid: string, reason: Refusal): void;
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
    const entry = cache?.peek(settings.prefix + sid);
    // What counts as missing by now is for the ordinary way to tell.
    if (entry === undefined || records.refusalOf(entry.value) !== undefined) return undefined;
    const { value } = entry;
    report?.carried(value);
    try {
      entry.plain ??= records.open(value, sid);
      const record = records.parse(entry.plain, sid);
      return isThenable(record)
        ? record.then((read) => this.#handOut(sid, value, read))
        : this.#handOut(sid, value, record);
    } catch {
      // Not a session: the ordinary way says so.
      return undefined;
    }
  }

  async get(sid: string, report?: Report): Promise<SessionData | null> {
    const { port, cache, settings, records, renewals } = this.#context;
    report?.asked();
    const key = settings.prefix + sid;
    const value = await port.get(key, report && (() => report.asked()));
    const refusal = value === null ? undefined : records.refusalOf(value);
    if (value === null || refusal !== undefined) {
      renewals.forget(sid);
      if (refusal !== undefined) {
        if (report !== undefined) report.reason = refusal;
        this.#context.onRefused(sid, refusal);
      }
      return null;
    }
    report?.carried(value);
    const plain = records.open(value, sid);
    cache?.opened(key, value, plain);
    const record = records.parse(plain, sid);
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
