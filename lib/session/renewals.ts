// Remembers which expiry this process last wrote for a session.
import { LRUCache } from "lru-cache";
import { DRIFT_MS } from "./cookie.js";
import type { Lifetime } from "./expiry.js";

/** How many sessions a process remembers; about 100 bytes each. */
const REMEMBERED = 50_000;

interface Renewal {
  readonly expiry: number;
  /** The idle timeout that the expiry was counted from. */
  readonly idle: number;
}

/**
 * The expiry that this process last wrote for a session, to know when a renewal would change
 * nothing. A session that is not remembered is renewed, which is always right.
 */
export class Renewals {
  readonly #expiries = new LRUCache<string, Renewal>({ max: REMEMBERED });

  /**
   * Whether the session lives as long as it should already, and no longer than that by the slack.
   * With another idle timeout what is remembered proves nothing: who changed that, perhaps another
   * process, has set another expiry.
   */
  covers(sid: string, { exact, relaxed, idle }: Lifetime): boolean {
    const last = this.#expiries.get(sid);
    if (last === undefined || Math.abs(last.idle - idle) >= DRIFT_MS) return false;
    return exact <= last.expiry && last.expiry <= relaxed;
  }

  /** Notes what was written, computed before it was sent: Redis cannot have set it any earlier. */
  remember(sid: string, expiry: number, { idle }: Lifetime): void {
    this.#expiries.set(sid, { expiry, idle });
  }

  forget(sid: string): void {
    this.#expiries.delete(sid);
  }

  clear(): void {
    this.#expiries.clear();
  }
}
