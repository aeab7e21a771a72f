// Remembers which forms were sent, for as long as they hold: a form ends something once in a process.
import { HOUR, Names } from "./names.js";

export class Used {
  /** When each was sent, the oldest first. */
  readonly #sent = new Map<string, number>();

  /** Takes a form; whether nobody has. */
  take(name: string): boolean {
    const now = Date.now();
    for (const [mark, at] of this.#sent) {
      if (now - at < HOUR) break;
      this.#sent.delete(mark);
    }
    const mark = Names.markOf(name);
    if (this.#sent.has(mark)) return false;
    this.#sent.set(mark, now);
    return true;
  }

  /** Gives it back: what it was to end is not ended for sure, so it may be sent again. */
  giveBack(name: string): void {
    this.#sent.delete(Names.markOf(name));
  }
}
