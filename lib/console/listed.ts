// What a listing tells of a session, without what is in it.
import type { SessionEntry } from "../index.js";

/** What a listing tells of a session, without what is in it. */
export interface Listed {
  readonly sid: string;
  readonly handle: string;
  readonly user: string | undefined;
  readonly created: number | null;
  readonly expires: number | null;
  readonly bytes: number;
  readonly keyId: string | null;
  /** When it was listed. */
  readonly at: number;
}

/** Whose session it is, as text. */
export type UserOf = (session: SessionEntry["session"]) => string | undefined;

/** The facts of a row. */
export function listed(entry: SessionEntry, userOf: UserOf | undefined): Listed {
  return {
    sid: entry.sid,
    handle: entry.handle,
    user: userOf?.(entry.session),
    created: entry.created?.getTime() ?? null,
    expires: entry.expires?.getTime() ?? null,
    bytes: entry.bytes,
    keyId: entry.keyId,
    at: Date.now(),
  };
}
