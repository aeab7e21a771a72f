// A session as listings show it.
import type { SessionData } from "express-session";

/** A session as `sessions()` lists it. */
export interface SessionEntry {
  readonly sid: string;
  readonly session: SessionData;
  /** When Redis will drop it; `null`: never. */
  readonly expires: Date | null;
}
