// Does later, and again, what has to wait until Redis answers.
import { performance } from "node:perf_hooks";
import { addNewest, isSilence } from "../base/index.js";

/** So much is remembered; of more the oldest is forgotten. */
const MOST = 10_000;

/** How long it waits before it tries, and tries again, in ms. */
const PAUSE = 250;

/** Rejects where it could not be done. */
export type Work = () => Promise<unknown>;

interface Wanted<Wish> {
  readonly work: Wish;
  /** Not before this, on the monotonic clock. */
  readonly from: number;
}

/** What is to be done for sessions when Redis answers again, by their ids. */
export class Later<Wish extends Work = Work> {
  readonly #works = new Map<string, Wanted<Wish>>();
  readonly #delay: number;
  #timer: NodeJS.Timeout | undefined;

  /** @param delay - how long everything is put off at least, in ms */
  constructor(delay = 0) {
    this.#delay = delay;
  }

  has(sid: string): boolean {
    return this.#works.size > 0 && this.#works.has(sid);
  }

  /** What is wanted for a session and not done. */
  get(sid: string): Wish | undefined {
    return this.#works.get(sid)?.work;
  }

  /** The latest wish for a session counts. */
  add(sid: string, work: Wish): void {
    addNewest(this.#works, sid, { work, from: performance.now() + this.#delay }, MOST);
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
    for (const [sid, wanted] of [...this.#works]) {
      if (this.#works.get(sid) !== wanted || performance.now() < wanted.from) continue;
      try {
        await wanted.work();
      } catch (error) {
        if (isSilence(error)) return;
        // Redis refuses it, and would again.
      }
      if (this.#works.get(sid) === wanted) this.#works.delete(sid);
    }
  }
}
