// What a write is asked for, what is around it, and what becomes of it.
import type { Report } from "../base/index.js";
import type { Port } from "../client/index.js";
import type { Endings } from "../endings/index.js";
import type { Settings } from "../options.js";
import type { Held, Lifetime, MergeReport, Records, Renewals, Value } from "../session/index.js";
import type { Membership, UserIndex } from "../users/index.js";
import type { Turn } from "./turns.js";

/**
 * What became of a save: `"OK"` written, `"MERGED"` written together with what another request had
 * changed, `"GONE"` not written: the session is no longer there, has ended, or is another user's.
 */
export type SaveResult = "OK" | "MERGED" | "GONE";

/** Why a save was not written. */
export type DiscardReason =
  /** The key is not in Redis: logged out, expired, evicted, flushed. */
  | "missing"
  /** By its own rules the session is over. */
  | "expired"
  /** Another request logged another user in, or this one out. */
  | "user-changed"
  /** It is not sealed, and `plaintextUntil` is over; see the option `encryption`. */
  | "plaintext"
  /** It was sealed under a key that is `revoked` since; see the option `encryption`. */
  | "revoked";

/** What writing needs of the store around it. */
export interface WriterContext {
  readonly port: Port;
  readonly settings: Settings;
  readonly records: Records;
  readonly renewals: Renewals;
  /** Told of everything that is written, renewed or removed. */
  readonly index: UserIndex | undefined;
  readonly endings: Endings;
  onMerged(sid: string, report: MergeReport): void;
  onDiscarded(sid: string, reason: DiscardReason): void;
}

/** The circumstances of one write: the session's turn, its user's index, and who is to be told. */
export interface Step {
  readonly turn: Turn;
  readonly entry: Membership | undefined;
  readonly report: Report | undefined;
}

/** What the app wants to be stored of a loaded object. */
export interface Wish {
  /** The plain text of the object, once it is known what the object started from. */
  own(base: Held | undefined): Value | Promise<Value>;
  /** `undefined`: what the key has left to live. */
  readonly life: Lifetime | undefined;
  /** Whether the app has set the date of the cookie by hand. */
  readonly isRedated: boolean;
  readonly user: string | undefined;
}
