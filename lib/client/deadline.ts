// Bounds how long Redis may take to answer.
import { performance } from "node:perf_hooks";
import { fromClient, isReply, StoreError } from "../base/index.js";

interface Waiting {
  readonly asked: number;
  readonly expire: () => void;
}

/** Who learns what became of the questions; times on the monotonic clock. */
export interface Observer {
  /** The server has answered, if only with an error. */
  answered(): void;
  /** A question that was asked at `asked` has failed without an answer of the server. */
  unanswered(asked: number): void;
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
  readonly #waiting = new Set<Waiting>();
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param timeout - in ms
   * @param host - who is asked, for messages
   */
  constructor(timeout: number, host: () => string, observer?: Observer) {
    this.#timeout = timeout;
    this.#host = host;
    this.#observer = observer;
  }

  /**
   * The answer of a client to `command`, or a `StoreError` when it is an error or comes too late.
   *
   * @param late - what to reject with when it comes too late
   */
  bound<T>(
    answer: Promise<T>,
    command: string,
    late: (error: StoreError) => StoreError,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const waiting: Waiting = {
        asked: performance.now(),
        expire: () => reject(late(this.#timedOut(command))),
      };
      this.#waiting.add(waiting);
      this.#timer ??= setTimeout(this.#look, this.#timeout).unref();
      answer.then(
        (value) => {
          this.#waiting.delete(waiting);
          this.#observer?.answered();
          resolve(value);
        },
        (error) => {
          const isOpen = this.#waiting.delete(waiting);
          if (isReply(error)) this.#observer?.answered();
          else if (isOpen) this.#observer?.unanswered(waiting.asked);
          const took = Math.round(performance.now() - waiting.asked);
          reject(fromClient(error, command, `Redis at ${this.#host()} after ${took} ms`));
        },
      );
    });
  }

  /** Answers that have come while this process was busy or stopped are read before anything expires. */
  readonly #look = (): void => {
    setImmediate(this.#expire);
  };

  readonly #expire = (): void => {
    this.#timer = undefined;
    const now = performance.now();
    for (const waiting of this.#waiting) {
      const left = waiting.asked + this.#timeout - now;
      if (left > 0) {
        this.#timer = setTimeout(this.#look, Math.ceil(left)).unref();
        return;
      }
      this.#waiting.delete(waiting);
      this.#observer?.unanswered(waiting.asked);
      waiting.expire();
    }
  };

  #timedOut(command: string): StoreError {
    return new StoreError(
      "ERR_TIMEOUT",
      `Redis at ${this.#host()} did not answer ${command} within ${this.#timeout} ms`,
    );
  }
}
