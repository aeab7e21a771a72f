// What the diagnostics channels tell: the types of their messages.
import type { StoreErrorCode } from "./errors.js";

/** The operations that are told of. */
export type OperationName = "get" | "set" | "touch" | "destroy";

/**
 * What became of an operation.
 *
 * - `get`: `hit` from Redis, `cached` from memory, `miss` there is none
 * - `set`: `OK`, `MERGED`, `GONE`
 * - `touch`: `renewed`, `skipped` nothing had to be sent, `EXPIRED` there was nothing to renew
 * - `destroy`: `removed`, `missing` there was none
 * - each: `error`
 */
export type Outcome =
  | "hit"
  | "cached"
  | "miss"
  | "OK"
  | "MERGED"
  | "GONE"
  | "renewed"
  | "skipped"
  | "EXPIRED"
  | "removed"
  | "missing"
  | "error";

/** Why a session was ended on purpose. */
export type EndingReason =
  /** By `destroy`, as `req.session.destroy()` does. */
  | "logout"
  /** By `req.session.regenerate()`: it goes on under another id. */
  | "regenerated"
  /** By `destroyOf` or `destroyAllOf`. */
  | "revoked"
  /** To make room for another one of the same user. */
  | "limit";

/**
 * What the channels of one operation tell, the same object on all of them:
 * `tracing:redis-session-store:get:start` and `end`, `asyncStart`, `asyncEnd`, `error`; `set`,
 * `touch` and `destroy` likewise. What is not known yet is `undefined`. An operation that had to wait
 * for nothing is over at `end`, and tells no `asyncStart` and `asyncEnd`.
 */
export interface OperationMessage {
  readonly operation: OperationName;
  /** The option `name` of the store. */
  readonly store: string;
  /** What `handleOf` gives for the session; computed when it is read. */
  readonly handle: string;
  readonly outcome: Outcome | undefined;
  /** Of a `GONE`: why nothing was written. Of a `miss`: why what is there counts as missing. */
  readonly reason: string | undefined;
  /** Of an error: its code, or `other` for what a function of the app threw. */
  readonly code: StoreErrorCode | "other" | undefined;
  /** How many times one answer of Redis about this session had to be waited for. */
  readonly roundTrips: number;
  /** How many times a save found that somebody else had written the session. */
  readonly conflicts: number;
  /** How many values of other writers a save has overwritten, whether it kept others or not. */
  readonly overwritten: number;
  /** How long the text of the session is that was read or written. */
  readonly bytes: number;
  /** From the call to the answer; for a save also the time that it waited for others in this process. */
  readonly seconds: number | undefined;
}

/** What the channel `redis-session-store:event` tells. */
export type EventMessage =
  | (About<"merged"> & {
      /** How many changes of other writers a save has kept. */
      readonly kept: number;
      /** How many values of other writers it has overwritten. */
      readonly overwritten: number;
    })
  | (About<"discarded"> & { readonly reason: string })
  | (About<"corrupt"> & { readonly code: StoreErrorCode | "other" })
  | (About<"ended"> & { readonly reason: EndingReason })
  | About<"fixation">
  | { readonly event: "down" | "up"; readonly store: string };

interface About<Name extends string> {
  readonly event: Name;
  /** The option `name` of the store. */
  readonly store: string;
  /** What `handleOf` gives for the session; computed when it is read. */
  readonly handle: string;
}

/** What the channel `redis-session-store:health` is asked by who wants to know which stores are up. */
export interface HealthQuestion {
  /** Called by each store at once. */
  answer(store: string, isUp: boolean): void;
}
