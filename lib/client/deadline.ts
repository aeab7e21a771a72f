// Bounds how long Redis may take to answer.
import { performance } from "node:perf_hooks";
import { fromClient, isReply, neverSent, StoreError } from "../base/index.js";
import { type LateAnswer, noteLate, noteUnsent } from "./outcome.js";
import { Queue, type Queued } from "./queue.js";
import type { Replacement } from "./transport.js";

/** A question that waits for its answer; times on the monotonic clock. */
interface Waiting extends Queued<Waiting> {
  readonly command: string;
  readonly answer: Promise<unknown>;
  readonly asked: number;
  /** The connection that it went out on, as the client counts them. */
  readonly connection: number;
  readonly atDeadline: ((error: StoreError) => Late) | undefined;
  readonly reject: (error: StoreError) => void;
}

/** Who learns what became of the questions; times on the monotonic clock. */
export interface Observer {
  /** The server has answered, if only with an error. */
  answered(): void;
  /** A question that was asked at `asked` has failed without an answer of the server. */
  unanswered(asked: number): void;
}

/** What a deadline has to know of the client. */
export interface DeadlineOptions {
  /** In ms. */
  readonly timeout: number;
  /** Who is asked, for messages. */
  readonly host: () => string;
  readonly observer?: Observer;
  /**
   * Counts connections, where the client sends again over a new one what was under way on the last;
   * `NaN` where it does that and does not count.
   */
  readonly connection?: (() => number) | undefined;
  /** Whether the process goes on while somebody waits; `false` for what the store asks on its own account. */
  readonly holdsProcess?: boolean;
}

/** What happens at the deadline. */
export interface Late {
  /** What to reject with, unless it is the error itself. */
  readonly error?: StoreError;
  /** Whether the command did not go out and will not. */
  readonly isUnsent?: boolean;
  /** What the client sends instead, if anything. */
  readonly replacement?: Replacement | undefined;
}

/**
 * Bounds how long answers may take. All of them may take equally long, so they time out in the
 * order in which they began to wait, and one timer, set for the first of them, serves all: a timer
 * or an AbortSignal for each command would cost more than the rest of this library.
 */
export class Deadline {
  readonly #timeout: number;
  readonly #host: () => string;
  readonly #observer: Observer | undefined;
  readonly #connection: () => number;
  readonly #holdsProcess: boolean;
  readonly #waiting = new Queue<Waiting>();
  #timer: NodeJS.Timeout | undefined;

  constructor({ timeout, host, observer, connection, holdsProcess }: DeadlineOptions) {
    this.#timeout = timeout;
    this.#host = host;
    this.#observer = observer;
    this.#connection = connection ?? sameConnection;
    this.#holdsProcess = holdsProcess ?? true;
  }

  /**
   * The answer of a client to `command`, or a `StoreError` when it is an error or comes too late.
   * What is known of a command that failed is noted with the error (outcome.ts).
   *
   * @param atDeadline - called when it comes too late
   */
  bound<T>(
    answer: Promise<T>,
    command: string,
    atDeadline?: (error: StoreError) => Late,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const waiting: Waiting = {
        command,
        answer,
        asked: performance.now(),
        connection: this.#connection(),
        atDeadline,
        reject,
        previous: undefined,
        next: undefined,
        isQueued: false,
      };
      this.#enter(waiting);
      answer.then(
        (value) => {
          this.#leave(waiting);
          this.#observer?.answered();
          resolve(value);
        },
        (error) => {
          const isOpen = this.#leave(waiting);
          if (isReply(error)) this.#observer?.answered();
          else if (isOpen) this.#observer?.unanswered(waiting.asked);
          reject(this.#failure(error, waiting));
        },
      );
    });
  }

  #enter(waiting: Waiting): void {
    this.#waiting.add(waiting);
    if (this.#timer === undefined) this.#start(this.#timeout);
    // A process may not end, as if all were well, while a promise of the store is open.
    else if (this.#holdsProcess && this.#waiting.first === waiting) this.#timer.ref();
  }

  /** Whether it had not left before. */
  #leave(waiting: Waiting): boolean {
    const isOpen = this.#waiting.remove(waiting);
    if (this.#waiting.first === undefined) this.#timer?.unref();
    return isOpen;
  }

  #start(ms: number): void {
    this.#timer = setTimeout(this.#look, ms);
    if (!this.#holdsProcess) this.#timer.unref();
  }

  /** Answers that have come while this process was busy or stopped are read before anything expires. */
  readonly #look = (): void => {
    setImmediate(this.#expire);
  };

  readonly #expire = (): void => {
    this.#timer = undefined;
    const now = performance.now();
    for (;;) {
      const waiting = this.#waiting.first;
      if (waiting === undefined) return;
      const left = waiting.asked + this.#timeout - now;
      if (left > 0) {
        this.#start(Math.ceil(left));
        return;
      }
      this.#waiting.remove(waiting);
      this.#observer?.unanswered(waiting.asked);
      this.#giveUp(waiting);
    }
  };

  #giveUp(waiting: Waiting): void {
    const timedOut = this.#timedOut(waiting.command);
    const { error = timedOut, isUnsent, replacement } = waiting.atDeadline?.(timedOut) ?? {};
    if (isUnsent) noteUnsent(error);
    else noteLate(error, this.#lateAnswer(waiting, replacement));
    waiting.reject(error);
  }

  async #lateAnswer(waiting: Waiting, replacement: Replacement | undefined): Promise<LateAnswer> {
    const { answer, command } = waiting;
    try {
      const value = await answer;
      if (!replacement?.isAnsweredBy(value)) return { status: "fulfilled", value };
      const reason = new StoreError(
        "ERR_UNAVAILABLE",
        `${command} got no answer from Redis at ${this.#host()} in time, and was not sent later`,
      );
      return { status: "rejected", reason: replacement.isFirst ? noteUnsent(reason) : reason };
    } catch (error) {
      return { status: "rejected", reason: this.#failure(error, waiting) };
    }
  }

  /** The typed form of what the client rejected with. */
  #failure(error: unknown, { command, asked, connection }: Waiting): StoreError {
    const took = Math.round(performance.now() - asked);
    const failure = fromClient(error, command, `Redis at ${this.#host()} after ${took} ms`);
    // The refusal of a command that was sent again says nothing about the first time.
    const isRefused = isReply(error) && connection === this.#connection();
    return isRefused || neverSent(error) ? noteUnsent(failure) : failure;
  }

  #timedOut(command: string): StoreError {
    return new StoreError(
      "ERR_TIMEOUT",
      `Redis at ${this.#host()} did not answer ${command} within ${this.#timeout} ms`,
    );
  }
}

function sameConnection(): number {
  return 0;
}
