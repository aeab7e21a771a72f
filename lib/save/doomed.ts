// Remembers the sessions whose removal got no answer, and removes them when Redis answers again.
import type { Ending } from "../endings/index.js";

/** So many sessions are remembered; of more the oldest are forgotten. */
const MOST = 10_000;

/** How long it waits before it asks again, in ms. */
const PAUSE = 250;

/** What becomes of a removal that is repeated: whether Redis has answered. */
export type Repeat = (sid: string) => Promise<boolean>;

/**
 * The sessions that the app has ended and that may still be there. Until they are certainly gone,
 * nothing of this process writes or renews them.
 */
export class Doomed {
  readonly #sids = new Map<string, Ending | undefined>();
  readonly #repeat: Repeat;
  #timer: NodeJS.Timeout | undefined;

  constructor(repeat: Repeat) {
    this.#repeat = repeat;
  }

  has(sid: string): boolean {
    return this.#sids.size > 0 && this.#sids.has(sid);
  }

  /** Why the app has ended it. */
  endingOf(sid: string): Ending | undefined {
    return this.#sids.get(sid);
  }

  add(sid: string, ending: Ending | undefined): void {
    this.#sids.delete(sid);
    this.#sids.set(sid, ending);
    if (this.#sids.size > MOST) {
      for (const oldest of this.#sids.keys()) {
        this.#sids.delete(oldest);
        break;
      }
    }
    this.#wait();
  }

  /** The session is gone, or the app has stored another one in its place. */
  delete(sid: string): void {
    if (this.#sids.size > 0) this.#sids.delete(sid);
  }

  #wait(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#removeAll().then(
        () => this.#sids.size > 0 && this.#wait(),
        () => this.#wait(),
      );
      // A process that has nothing else to do may end.
    }, PAUSE).unref();
  }

  /** One after the other; the first that gets no answer ends it. */
  async #removeAll(): Promise<void> {
    for (const sid of [...this.#sids.keys()]) {
      if (!this.#sids.has(sid)) continue;
      if (!(await this.#repeat(sid))) return;
      this.#sids.delete(sid);
    }
  }
}
