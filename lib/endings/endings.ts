// Ends sessions, and leaves a note of why.
import type { EndingReason, Telling } from "../base/index.js";
import type { Port } from "../client/index.js";
import type { Settings } from "../options.js";
import { handleOf } from "../session/index.js";
import { LEAVE_NOTE, READ_NOTE } from "./scripts.js";

/** Why sessions are being ended. */
export interface Ending {
  readonly reason: EndingReason;
  /** The words of who ends them. */
  readonly because?: string | undefined;
}

/** Why a session is not there. */
export interface WhyGone {
  /**
   * `expired-or-evicted` is what is left: it ran out of time, Redis was out of memory or emptied, a
   * program ended it that leaves no notes, or the note is older than `keepFor`.
   */
  readonly reason: EndingReason | "expired-or-evicted";
  /** When it was ended, by the clock of the server; `null` where nobody knows. */
  readonly at: Date | null;
  /** The words of who ended it. */
  readonly because: string | undefined;
}

/** What ending needs of the store around it. */
export interface EndingsContext {
  readonly port: Port;
  readonly settings: Settings;
  readonly telling: Telling;
}

const REASONS: ReadonlySet<unknown> = new Set<EndingReason>([
  "logout",
  "regenerated",
  "revoked",
  "limit",
]);

function isReason(text: unknown): text is EndingReason {
  return REASONS.has(text);
}

/** So many notes go out at a time. */
const BATCH = 100;

/**
 * Ends sessions, and leaves a note of why if the store is told to. A note explains and forbids
 * nothing. It goes out just before the removal and with it, and whatever becomes of it, the session is
 * ended. It holds neither the session id, of which its name is a hash, nor content.
 */
export class Endings {
  readonly #port: Port;
  readonly #prefix: string;
  readonly #keepFor: number;
  readonly #telling: Telling;

  constructor({ port, settings, telling }: EndingsContext) {
    this.#port = port;
    this.#prefix = settings.prefix;
    this.#keepFor = settings.endings;
    this.#telling = telling;
  }

  /**
   * Ends sessions.
   *
   * @param remove - does it, and answers how many there were; `null`: they are there, and stay
   */
  async end(
    sids: readonly string[],
    ending: Ending,
    remove: () => Promise<number | null>,
  ): Promise<number> {
    const noted = this.#keepFor > 0 ? this.#note(sids, ending) : undefined;
    const removed = await remove();
    const left = await noted;
    if (removed === null) {
      await this.#withdraw(left ?? []);
      return 0;
    }
    if (removed > 0) {
      for (const sid of sids) this.#telling.event("ended", sid, { reason: ending.reason });
    }
    return removed;
  }

  /** What the note of a session says that is not there. `at` is `null` where there is no note. */
  async why(handle: string): Promise<WhyGone> {
    const reply = await this.#port.runOn(READ_NOTE, [this.#nameOf(handle)], []);
    const [reason, at, because] = reply as (string | null)[];
    const time = new Date(Number(at ?? Number.NaN));
    // Whoever can write to Redis can write there what he likes.
    if (!isReason(reason) || Number.isNaN(time.getTime())) {
      return { reason: "expired-or-evicted", at: null, because: undefined };
    }
    return { reason, at: time, because: because ?? undefined };
  }

  /**
   * The names of the notes that it has left. Never fails: what ends a session is its removal.
   */
  async #note(sids: readonly string[], { reason, because = "" }: Ending): Promise<string[]> {
    const args = [reason, because, String(this.#keepFor)];
    const names = sids.map((sid) => this.#nameOf(handleOf(this.#prefix, sid)));
    const left: string[] = [];
    for (let start = 0; start < names.length; start += BATCH) {
      const notes = names.slice(start, start + BATCH).map(async (name) => {
        const isNew = await this.#port.runOn(LEAVE_NOTE, [name], args);
        if (Number(isNew) === 1) left.push(name);
      });
      await Promise.allSettled(notes);
    }
    return left;
  }

  /** Takes notes back; one that stays tells a wrong reason only once that session is gone. */
  async #withdraw(names: readonly string[]): Promise<void> {
    await Promise.allSettled(names.map((name) => this.#port.remove(name)));
  }

  /** It differs from every session key in the first character. */
  #nameOf(handle: string): string {
    const start = this.#prefix.startsWith("e") ? ":ended:" : "ended:";
    return start + this.#prefix + handle;
  }
}
