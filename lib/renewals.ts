import { LRUCache } from "lru-cache";
import type { Lifetime } from "./expiry.js";

/** How many sessions a process remembers; about 60 bytes each. */
const REMEMBERED = 50_000;

/**
 * The expiry that this process last wrote for a session, to know when a renewal would change
 * nothing. A session that is not remembered is renewed, which is always right.
 */
export class Renewals {
  readonly #expiries = new LRUCache<string, number>({ max: REMEMBERED });

  /** Whether the session lives as long as it should already, and no longer than that by the slack. */
  covers(sid: string, { exact, relaxed }: Lifetime): boolean {
    const expiry = this.#expiries.get(sid);
    return expiry !== undefined && exact <= expiry && expiry <= relaxed;
  }

  /** Notes what was written, computed before it was sent: Redis cannot have set it any earlier. */
  remember(sid: string, expiry: number): void {
    this.#expiries.set(sid, expiry);
  }

  forget(sid: string): void {
    this.#expiries.delete(sid);
  }

  clear(): void {
    this.#expiries.clear();
  }
}
