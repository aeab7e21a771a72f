// What a store does, told on diagnostics channels to whoever listens.
import { type Channel, channel } from "node:diagnostics_channel";
import type { EventMessage, HealthQuestion, OperationName } from "./messages.js";
import { type HandleOf, Report } from "./report.js";

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
