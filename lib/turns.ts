import type { Value } from "./client/port.js";

/** What the writers of one session that wait for each other pass on. */
export interface Turn {
  /** What this process last wrote for the session, while writers are waiting. */
  latest: Value | undefined;
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
      const next = () => write(waiting);
      result = line.last.then(next, next);
    }
    line.last = result;
    const leave = () => {
      if (this.#lines.get(sid)?.last === result) this.#lines.delete(sid);
    };
    result.then(leave, leave);
    return result;
  }
}
