import { fork } from "node:child_process";
import { once } from "node:events";

/** @typedef {{ resolve: (result: never) => void, reject: (error: Error) => void }} Waiting */

/**
 * A module of the bench in a process of its own, which answers requests. Contenders that share a
 * process make each other slower: what one alone would have the compiler inline is called in many
 * ways then.
 */
export class Helper {
  #child;
  /** @type {Map<number, Waiting>} */
  #waiting = new Map();
  #last = 0;

  /**
   * @param {string} file beside this one
   * @param {string[]} args
   */
  constructor(file, ...args) {
    this.#child = fork(new URL(file, import.meta.url), args, { execArgv: ["--expose-gc"] });
    this.#child.on("message", (message) => {
      const { id, error, result } = /** @type {{ id: number, error?: string, result: never }} */ (
        message
      );
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.resolve(result);
      else waiting?.reject(new Error(`${file}: ${error}`));
    });
    this.#child.on("exit", (code, signal) => {
      const error = new Error(`${file} ended with ${signal ?? code}`);
      for (const { reject } of this.#waiting.values()) reject(error);
    });
  }

  /** Its process id. */
  get pid() {
    return /** @type {number} */ (this.#child.pid);
  }

  /**
   * @template T
   * @param {object} request
   * @returns {Promise<T>} what the function answered that the module gave to `serve`
   */
  ask(request) {
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#child.send({ id, request });
    });
  }

  /** Ends it, and waits until it is gone. */
  async stop() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.disconnect();
    await once(this.#child, "exit");
  }
}

/**
 * In the process of a helper: answers what it is asked.
 *
 * @param {(request: never) => unknown} answer
 */
export function serve(answer) {
  process.on("message", (message) => {
    const { id, request } = /** @type {{ id: number, request: never }} */ (message);
    const reply = (/** @type {object} */ outcome) => void process.send?.({ id, ...outcome });
    // Also what it throws at once.
    new Promise((resolve) => resolve(answer(request))).then(
      (result) => reply({ result }),
      (error) => reply({ error: error instanceof Error ? error.stack : String(error) }),
    );
  });
  // Whatever became of the bench.
  process.on("disconnect", () => process.exit());
}
