import { performance } from "node:perf_hooks";
import { fromClient, StoreError } from "../errors.js";

interface Waiting {
  readonly until: number;
  readonly expire: () => void;
}

/**
 * Bounds how long answers may take. All of them may take equally long, so they time out in the
 * order in which they began to wait, and one timer, set for the first of them, serves all: a timer
 * or an AbortSignal for each command would cost more than the rest of this library.
 */
export class Deadline {
  readonly #timeout: number;
  readonly #waiting = new Set<Waiting>();
  #timer: NodeJS.Timeout | undefined;

  /** @param timeout - in ms */
  constructor(timeout: number) {
    this.#timeout = timeout;
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
        until: performance.now() + this.#timeout,
        expire: () => reject(late(this.#timedOut(command))),
      };
      this.#waiting.add(waiting);
      this.#timer ??= setTimeout(this.#expire, this.#timeout).unref();
      answer.then(
        (value) => {
          this.#waiting.delete(waiting);
          resolve(value);
        },
        (error) => {
          this.#waiting.delete(waiting);
          reject(fromClient(error, command));
        },
      );
    });
  }

  readonly #expire = (): void => {
    this.#timer = undefined;
    const now = performance.now();
    for (const waiting of this.#waiting) {
      const left = waiting.until - now;
      if (left > 0) {
        this.#timer = setTimeout(this.#expire, Math.ceil(left)).unref();
        return;
      }
      this.#waiting.delete(waiting);
      waiting.expire();
    }
  };

  #timedOut(command: string): StoreError {
    return new StoreError(
      "ERR_TIMEOUT",
      `Redis did not answer ${command} within ${this.#timeout} ms`,
    );
  }
}
