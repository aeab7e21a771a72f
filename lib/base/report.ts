// What is known of one operation while it runs.
import { performance } from "node:perf_hooks";
import type { StoreErrorCode } from "./errors.js";
import type { OperationMessage, OperationName, Outcome } from "./messages.js";

/** Gives the handle of a session id. */
export type HandleOf = (sid: string) => string;

/**
 * What is known of one operation while it runs; the parts of the store that it passes through write
 * here what only they know. There is none where nobody listens.
 *
 * The session id is private: no property and no inspection shows it.
 */
export class Report implements OperationMessage {
  readonly operation: OperationName;
  readonly store: string;
  outcome: Outcome | undefined = undefined;
  reason: string | undefined = undefined;
  code: StoreErrorCode | "other" | undefined = undefined;
  roundTrips = 0;
  conflicts = 0;
  overwritten = 0;
  bytes = 0;
  seconds: number | undefined = undefined;
  readonly #sid: string;
  readonly #handleOf: HandleOf;
  readonly #began = performance.now();

  constructor(operation: OperationName, store: string, sid: string, handleOf: HandleOf) {
    this.operation = operation;
    this.store = store;
    this.#sid = sid;
    this.#handleOf = handleOf;
  }

  get handle(): string {
    return this.#handleOf(this.#sid);
  }

  /** A command about the session goes out, and its answer is waited for. */
  asked(): void {
    this.roundTrips++;
  }

  /** The text of the session is known. */
  carried(text: string | Uint8Array): void {
    this.bytes = Buffer.byteLength(text);
  }

  succeeded(result: unknown): void {
    this.outcome = OUTCOMES[this.operation](result, this.roundTrips > 0);
    this.#ended();
  }

  failed(error: unknown): void {
    this.outcome = "error";
    this.code = codeOf(error);
    this.#ended();
  }

  /** For logs: with the handle, which is no property of the object itself. */
  toJSON(): object {
    return Object.assign({}, this, { handle: this.handle });
  }

  #ended(): void {
    this.seconds = (performance.now() - this.#began) / 1000;
  }
}

/** What the result of an operation is called. */
const OUTCOMES: Record<OperationName, (result: unknown, wasAsked: boolean) => Outcome> = {
  get: (session, wasAsked) => (session === null ? "miss" : wasAsked ? "hit" : "cached"),
  set: (result) => result as Outcome,
  touch: (result, wasAsked) => (result === "EXPIRED" ? result : wasAsked ? "renewed" : "skipped"),
  destroy: (removed) => (removed === 0 ? "missing" : "removed"),
};

/** The code of an error of the store; those of apps may be anything, and so hold anything. */
export function codeOf(error: unknown): StoreErrorCode | "other" {
  const { name, code } = (error ?? {}) as { name?: unknown; code?: unknown };
  return name === "StoreError" && typeof code === "string" ? (code as StoreErrorCode) : "other";
}
