// What a store does, told on diagnostics channels to whoever listens.
import { type Channel, channel } from "node:diagnostics_channel";
import { performance } from "node:perf_hooks";
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

/** The channels of one operation. */
interface OperationChannels {
  readonly operation: OperationName;
  readonly start: Channel;
  readonly end: Channel;
  readonly asyncStart: Channel;
  readonly asyncEnd: Channel;
  readonly error: Channel;
}

// Channels are the process's own, by their names: this build and the other one get the same.
const EVENTS = channel("redis-session-store:event");
const HEALTH = channel("redis-session-store:health");

/** The channels of all operations. */
export const OPERATIONS: Readonly<Record<OperationName, OperationChannels>> = {
  get: channelsOf("get"),
  set: channelsOf("set"),
  touch: channelsOf("touch"),
  destroy: channelsOf("destroy"),
};

function channelsOf(operation: OperationName): OperationChannels {
  const of = (phase: string) => channel(`tracing:redis-session-store:${operation}:${phase}`);
  return {
    operation,
    start: of("start"),
    end: of("end"),
    asyncStart: of("asyncStart"),
    asyncEnd: of("asyncEnd"),
    error: of("error"),
  };
}

/** Whether anybody listens to an operation. Where nobody does, no report is made and nothing told. */
export function isHeard({ start, end, asyncStart, asyncEnd, error }: OperationChannels): boolean {
  return (
    start.hasSubscribers ||
    end.hasSubscribers ||
    asyncStart.hasSubscribers ||
    asyncEnd.hasSubscribers ||
    error.hasSubscribers
  );
}

/** Gives the handle of a session id. */
type HandleOf = (sid: string) => string;

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

/** An event about one session; its id is private. */
class SessionEvent {
  readonly event: string;
  readonly store: string;
  readonly #sid: string;
  readonly #handleOf: HandleOf;

  constructor(event: string, store: string, sid: string, handleOf: HandleOf) {
    this.event = event;
    this.store = store;
    this.#sid = sid;
    this.#handleOf = handleOf;
  }

  get handle(): string {
    return this.#handleOf(this.#sid);
  }

  toJSON(): object {
    return Object.assign({}, this, { handle: this.handle });
  }
}

/** What one kind of event tells besides. */
type Details<Name extends EventMessage["event"]> = Omit<
  Extract<EventMessage, { event: Name }>,
  "event" | "store" | "handle"
>;

/** Tells of one store on the channels. */
export class Telling {
  readonly #store: string;
  readonly #handleOf: HandleOf;

  /**
   * @param store - what the store is called
   * @param isUp - whether Redis answers, as far as the store knows
   */
  constructor(store: string, handleOf: HandleOf, isUp: () => boolean) {
    this.#store = store;
    this.#handleOf = handleOf;
    answerFor(store, new WeakRef(isUp));
    // As long as the store lives, so does its answer.
    this.isUp = isUp;
  }

  readonly isUp: () => boolean;

  /** Tells of something about a session, or with `sid` undefined about the store. */
  event<Name extends EventMessage["event"]>(
    name: Name,
    sid: string | undefined,
    details: Details<Name>,
  ): void {
    if (!EVENTS.hasSubscribers) return;
    const message =
      sid === undefined
        ? { event: name, store: this.#store }
        : new SessionEvent(name, this.#store, sid, this.#handleOf);
    EVENTS.publish(Object.assign(message, details));
  }

  /**
   * Runs an operation and tells of it; for where {@link isHeard}. Whoever gets the result gets it after
   * everything is told, and outside of what listeners bind to the operation.
   *
   * @param send - does it
   */
  operation<Result>(
    channels: OperationChannels,
    sid: string,
    send: (report: Report) => Result | Promise<Result>,
  ): Result | Promise<Result> {
    const { operation, start, end, asyncStart, asyncEnd, error: failure } = channels;
    const report = new Report(operation, this.#store, sid, this.#handleOf);
    const result = start.runStores(report, send, undefined, report);
    if (!(result instanceof Promise)) {
      report.succeeded(result);
      end.publish(report);
      return result;
    }
    end.publish(report);
    return result.then(
      (value) => {
        report.succeeded(value);
        asyncStart.publish(report);
        asyncEnd.publish(report);
        return value;
      },
      (error) => {
        report.failed(error);
        failure.publish(report);
        asyncStart.publish(report);
        asyncEnd.publish(report);
        throw error;
      },
    );
  }
}

/** Answers who asks for the health of a store, for as long as the store is there. */
function answerFor(store: string, health: WeakRef<() => boolean>): void {
  const onQuestion = (question: unknown): void => {
    const isUp = health.deref();
    // Not while the channel goes through those who listen.
    if (isUp === undefined) queueMicrotask(() => HEALTH.unsubscribe(onQuestion));
    else (question as HealthQuestion).answer(store, isUp());
  };
  HEALTH.subscribe(onQuestion);
}
