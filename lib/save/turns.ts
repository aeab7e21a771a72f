// Lets the writers of one session in this process take turns.
import { performance } from "node:perf_hooks";
import type { Text } from "../session/index.js";

/** What the writers of one session that wait for each other pass on. */
export interface Turn {
  /** What this process last wrote for the session, while writers are waiting. */
  latest: Text | undefined;
}

interface Line extends Turn {
  last: Promise<unknown>;
}

/**
 * Lets the writers of one session in this process take turns, so that they never compete with each
 * other in Redis and each starts from what the one before it wrote.
 */
export class Turns {
  readonly #lines = new Map<string, Line>();
  readonly #timeout: number;

  /** @param timeout - how long Redis may take to answer, in ms */
  constructor(timeout: number) {
    this.#timeout = timeout;
  }

  /** Runs `write` when those before it are done, at once where there are none. */
  take<Result>(sid: string, write: (turn: Turn) => Promise<Result>): Promise<Result> {
    let line = this.#lines.get(sid);
    let result: Promise<Result>;
    if (line === undefined) {
      line = { latest: undefined, last: Promise.resolve() };
      this.#lines.set(sid, line);
      result = write(line);
    } else {
      const waiting = line;
      const asked = performance.now();
      const next = () => write(waiting);
      // Redis does not answer: whoever has waited for that long too need not wait once more.
      const failed = (error: { code?: unknown } | undefined) => {
        if (error?.code === "ERR_TIMEOUT" && performance.now() - asked >= this.#timeout)
          throw error;
        return next();
      };
      result = line.last.then(next, failed);
    }
    line.last = result;
    const leave = () => {
      if (this.#lines.get(sid)?.last === result) this.#lines.delete(sid);
    };
    result.then(leave, leave);
    return result;
  }
}
