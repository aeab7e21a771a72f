// Remembers which expiry this process last wrote for a session.
import { performance } from "node:perf_hooks";
import { Recent } from "../base/index.js";
import { DRIFT_MS } from "./cookie.js";
import type { Lifetime } from "./expiry.js";
import { isSealed, TAG_LENGTH } from "./seal.js";
import type { Value } from "./value.js";

/** How many sessions a process remembers at the most. */
const REMEMBERED = 50_000;

/** A text that is no longer than this is remembered as it is, of a longer one its hash. */
const SHORT = 512;

/** All times are of the monotonic clock: a clock that is set moves no expiry in Redis. */
interface Renewal {
  /** When its command was sent; of what is forgotten, when that was. */
  readonly sent: number;
  /** When the key ends. */
  readonly until: number;
  /** The idle timeout that the expiry was counted from, in ms. */
  readonly idle: number;
  /** The text that the key held. */
  text: Value | number;
}

/**
 * The expiry that this process last wrote for a session, to know when a renewal would change
 * nothing. A session that is not remembered is renewed, which is always right.
 */
export class Renewals {
  readonly #renewals = new Recent<string, Renewal>(REMEMBERED);

  /**
   * Whether the session lives as long as it should already, and no longer than that by the slack.
   *
   * What is remembered proves nothing where the text is another one: who wrote that has set another
   * expiry with it. Nor where the idle timeout is another one: who changed that has done the same.
   *
   * @param text - what the key held when the session was loaded
   * @param now - the time of day from which `life` was counted, in ms
   */
  covers(sid: string, text: Value, { exact, relaxed, idle }: Lifetime, now: number): boolean {
    const last = this.#renewals.get(sid);
    if (last === undefined || Math.abs(last.idle - idle) >= DRIFT_MS) return false;
    const left = last.until - performance.now();
    // A millisecond for what the two clocks and Redis round.
    if (exact - now > left || left > relaxed - now + 1 || !isOf(text, last.text)) return false;
    // The same text in memory once: compared at a glance from now on.
    if (typeof last.text !== "number") last.text = text;
    return true;
  }

  /**
   * Notes what was written.
   *
   * @param px - what the key was given to live, in ms
   * @param sent - when the command was sent, on the monotonic clock: Redis cannot have counted from
   *   any earlier
   */
  remember(sid: string, text: Value, px: number, sent: number, { idle }: Lifetime): void {
    const last = this.#renewals.get(sid);
    // Answers may come in another order than their commands were sent.
    if (last !== undefined && last.sent > sent) return;
    this.#renewals.set(sid, { sent, until: sent + px, idle, text: shortened(text) });
  }

  /** What is known says nothing any more of when the session ends. */
  forget(sid: string): void {
    if (this.#renewals.get(sid) !== undefined) this.end(sid);
  }

  /** The session is ended, or is to be: of what was sent up to now nothing is remembered, either. */
  end(sid: string): void {
    this.#renewals.set(sid, { sent: performance.now(), until: 0, idle: 0, text: "" });
  }

  clear(): void {
    this.#renewals.clear();
  }
}

function shortened(text: Value): Value | number {
  return typeof text === "string" && text.length <= SHORT ? text : hashOf(text);
}

function isOf(text: Value, remembered: Value | number): boolean {
  return typeof remembered === "number" ? hashOf(text) === remembered : text === remembered;
}

const { imul } = Math;

/** FNV-1a; of what is sealed only its tag, which is another one for every text. */
function hashOf(text: Value): number {
  const { length } = text;
  let hash = 0x811c9dc5 ^ length;
  for (let index = isSealed(text) ? length - TAG_LENGTH : 0; index < length; index++) {
    const code = typeof text === "string" ? text.charCodeAt(index) : (text[index] as number);
    hash = imul(hash ^ code, 0x01000193);
  }
  return hash;
}
