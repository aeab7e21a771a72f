// The event source that watch() gives.
import { EventEmitter } from "node:events";
import type { StoreError } from "../base/index.js";
import type { SessionEvent } from "./keyspace.js";

/** The events of {@link SessionEvents}, each with its arguments. */
export interface SessionEventMap {
  /** A session was stored that was not there. Needs Redis 7; otherwise it is `updated`. */
  created: [sid: string, handle: string];
  /** A session was written. */
  updated: [sid: string, handle: string];
  /** The expiry of a session was renewed, and nothing else. */
  touched: [sid: string, handle: string];
  /** A session was removed: logged out, deleted, evicted. */
  destroyed: [sid: string, handle: string];
  /** A session has expired, and Redis has noticed it. */
  expired: [sid: string, handle: string];
  /** A lost connection is back. Nothing is known of what happened in between. */
  gap: [];
  /** A lost connection does not come back; it is tried again. Emitted only if there is a listener. */
  error: [error: StoreError];
}

/**
 * What happens to sessions, whichever process or program does it. Each event comes at most once, and
 * `expired` when Redis has noticed it, which on a large database may be minutes late. All event
 * sources of a store share their connections; they end with the last one.
 */
export class SessionEvents extends EventEmitter<SessionEventMap> {
  readonly #handleOf: (sid: string) => string;
  readonly #onClose: () => void;
  #isClosed = false;

  /** @internal */
  constructor(handleOf: (sid: string) => string, onClose: () => void) {
    super();
    this.#handleOf = handleOf;
    this.#onClose = onClose;
  }

  /** Ends it; nothing is emitted any more. */
  close(): void {
    this.#isClosed = true;
    this.#onClose();
  }

  /**
   * Outside of the client's own code: what a listener throws is the app's.
   *
   * @internal
   */
  tell(event: SessionEvent | "gap", sid: string): void {
    process.nextTick(() => {
      if (this.#isClosed) return;
      if (event === "gap") this.emit("gap");
      else this.emit(event, sid, this.#handleOf(sid));
    });
  }

  /** @internal */
  fail(error: StoreError): void {
    if (this.#isClosed || this.listenerCount("error") === 0) return;
    process.nextTick(() => this.emit("error", error));
  }
}
