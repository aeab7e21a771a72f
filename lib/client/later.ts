// Does again what got no answer, once Redis answers again.
import { addNewest, isSilence } from "../base/index.js";

/** So much is remembered; of more the oldest is forgotten. */
const MOST = 10_000;

/** How long it waits before it tries again, in ms. */
const PAUSE = 250;

/** Rejects where it could not be done. */
export type Work = () => Promise<unknown>;

/** What is to be done for sessions when Redis answers again, by their ids. */
export class Later {
  readonly #works = new Map<string, Work>();
  #timer: NodeJS.Timeout | undefined;

  has(sid: string): boolean {
    return this.#works.size > 0 && this.#works.has(sid);
  }

  /** The latest wish for a session counts. */
  add(sid: string, work: Work): void {
    addNewest(this.#works, sid, work, MOST);
    this.#wait();
  }

  /** It was done, or is no longer wanted. */
  delete(sid: string): void {
    if (this.#works.size > 0) this.#works.delete(sid);
  }

  #wait(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.#tryAll().then(() => this.#works.size > 0 && this.#wait());
      // A process that has nothing else to do may end.
    }, PAUSE).unref();
  }

  /** One after the other; the first that gets no answer ends it. */
  async #tryAll(): Promise<void> {
    for (const [sid, work] of [...this.#works]) {
      if (this.#works.get(sid) !== work) continue;
      try {
        await work();
      } catch (error) {
        if (isSilence(error)) return;
        // Redis refuses it, and would again.
      }
      if (this.#works.get(sid) === work) this.#works.delete(sid);
    }
  }
}
