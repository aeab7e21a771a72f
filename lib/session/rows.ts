// Makes the rows of all listings, and remembers them: what a listing gave can be given back.
import type { SessionData } from "express-session";
import type { SessionEntry, Stored } from "./entry.js";
import { handleOf } from "./handle.js";
import { type LoadedSessions, loadedOf } from "./loaded.js";
import { keyIdOf } from "./seal.js";

/** What rows need of the store around them. */
export interface RowsContext {
  readonly prefix: string;
  readonly loaded: LoadedSessions;
  /** Whether creation times are stored. */
  readonly dated: boolean;
  /** Whose session it is, where sessions are indexed by user. */
  readonly userOf: (session: object) => string | undefined;
}

/** The rows of the listings of one store. */
export class Rows {
  readonly #context: RowsContext;
  /** Of all rows: an object with a getter of its own takes ten times as long to make. */
  readonly #handle: PropertyDescriptor;

  constructor(context: RowsContext) {
    this.#context = context;
    const { prefix } = context;
    this.#handle = {
      // Most of a million are never looked at.
      get(this: SessionEntry) {
        return handleOf(prefix, this.sid);
      },
      enumerable: true,
      configurable: true,
    };
  }

  /** A row of `sessions()`, `page()` and `sessionsOf()`: what is stored, and a loaded session. */
  entry({ sid, value, record, left }: Stored): SessionEntry {
    const { loaded, dated, userOf } = this.#context;
    const { session } = record;
    const now = Date.now();
    const user = userOf(session);
    loaded.add(session, loadedOf({ sid, stored: value, record, dated, now, user, isRow: true }));
    const row: Omit<SessionEntry, "handle"> = {
      sid,
      session: session as unknown as SessionData,
      created: record.created === undefined ? null : new Date(record.created),
      bytes: Buffer.byteLength(value),
      keyId: keyIdOf(value) ?? null,
      expires: left === Number.POSITIVE_INFINITY ? null : new Date(now + left),
    };
    return Object.defineProperty(row, "handle", this.#handle) as SessionEntry;
  }

  /** A row of `all()`. Its text is not remembered: a million would not fit. */
  listed({ sid, value, record }: Stored): SessionData & { id: string } {
    const { session, created, mark } = record;
    const hasId = !Object.hasOwn(session, "id");
    if (hasId) session.id = sid;
    const keyId = keyIdOf(value) ?? null;
    this.#context.loaded.addListed(session, { sid, created, mark, hasId, keyId });
    return session as unknown as SessionData & { id: string };
  }
}
