// Remembers the entries that Redis did not take, and writes them when it answers again.
import type { StoreError } from "../base/index.js";

/** So many entries are remembered; of more the oldest are forgotten. */
const MOST = 10_000;

/** How long it waits before it tries again, in ms. */
const PAUSE = 250;

/** Writes an entry; rejects where it was not written. */
export type Write = () => Promise<unknown>;

/**
 * The entries of sessions that are stored, or may be, and that the index does not list yet. Their
 * next renewal would write them, but nobody knows when that comes.
 */
export class Owed {
  readonly #writes = new Map<string, Write>();
  #timer: NodeJS.Timeout | undefined;

  /** The entry of a session is to be written; the latest such wish counts. */
  add(sid: string, write: Write): void {
    this.#writes.delete(sid);
    this.#writes.set(sid, write);
    if (this.#writes.size > MOST) {
      for (const oldest of this.#writes.keys()) {
        this.#writes.delete(oldest);
        break;
      }
    }
    this.#wait();
  }

  /** The entry was written, or the session is gone. */
  delete(sid: string): void {
    if (this.#writes.size > 0) this.#writes.delete(sid);
  }

  #wait(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.#writeAll().then(() => this.#writes.size > 0 && this.#wait());
      // A process that has nothing else to do may end.
    }, PAUSE).unref();
  }

  /** One after the other; the first that gets no answer ends it. */
  async #writeAll(): Promise<void> {
    for (const [sid, write] of [...this.#writes]) {
      if (this.#writes.get(sid) !== write) continue;
      try {
        await write();
      } catch (error) {
        const { code } = error as Partial<StoreError>;
        // Redis refuses it, and would again.
        if (code === "ERR_TIMEOUT" || code === "ERR_UNAVAILABLE") return;
      }
      if (this.#writes.get(sid) === write) this.#writes.delete(sid);
    }
  }
}
