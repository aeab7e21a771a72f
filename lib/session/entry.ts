// A session as listings show it.
import type { SessionData } from "express-session";
import type { SessionRecord } from "./record.js";
import type { Value } from "./value.js";

/** A session as `sessions()` and `page()` list it. */
export interface SessionEntry {
  readonly sid: string;
  /** Names the session where its id must not be seen: in logs, pages, maps. */
  readonly handle: string;
  readonly session: SessionData;
  /** When Redis will drop it; `null`: never. */
  readonly expires: Date | null;
  /** When it was created; `null` where no store with a deadline has noted that. */
  readonly created: Date | null;
  /** How many bytes Redis holds for it, without its key. */
  readonly bytes: number;
  /** The id of the key that it is sealed under; `null`: it is plain. */
  readonly keyId: string | null;
}

/** A session as `sessionsOf()` lists it. */
export interface UserSessionEntry extends SessionEntry {
  /** When it was last stored or renewed, by the clock of Redis. */
  readonly lastActive: Date;
}

/** What Redis holds of a session, and what it says. */
export interface Stored {
  readonly sid: string;
  /** As Redis holds it. */
  readonly value: Value;
  readonly record: SessionRecord;
  /** What it has left to live, in ms; `Infinity`: no end. */
  readonly left: number;
}
