// The one place that computes when a session ends.
import { LONGEST_S, StoreError, shown } from "../base/index.js";

/** The part of the options that decides how long a session lives. Times in ms. */
export interface ExpiryRules<Session extends object = object> {
  /** Idle timeout in ms, or the app's function, which answers in seconds. */
  readonly idle: number | ((session: Session, sid: string) => number);
  /** Whether activity renews the expiry. */
  readonly rolling: boolean;
  /** Lifetime since creation in ms; `Infinity` for none. */
  readonly absolute: number;
  /** How much longer than asked a renewal may make a session live, in ms. */
  readonly touchAfter: number;
}

/** When a session ends, as ms since the epoch. Every request makes one: it holds no more than it needs. */
export class Lifetime {
  /**
   * @param now - when it was counted, in ms since the epoch
   * @param idle - the idle timeout that it was counted from, in ms
   * @param slack - by how much a renewal may make the session live longer than asked, in ms
   * @param deadline - when the session ends however long it is used, in ms since the epoch; `Infinity`: never
   * @param isDated - whether it ends at the date of its cookie, whenever it is used
   */
  constructor(
    readonly now: number,
    readonly idle: number,
    readonly slack: number,
    readonly deadline: number,
    readonly isDated: boolean,
  ) {}

  /** Exactly when the rules say. */
  get exact(): number {
    return Math.ceil(Math.min(this.now + this.idle, this.deadline));
  }

  /** Later by the slack, and never beyond the deadline: what a renewal asks Redis for. */
  get relaxed(): number {
    return Math.ceil(Math.min(this.now + this.idle + this.slack, this.deadline));
  }
}

/** The part of `touchAfter` that a session may overrun is never more than this share of its life. */
const SLACK_SHARE = 60;

/** What the rules read from a cookie; anything may stand there. */
interface CookieLike {
  expires?: unknown;
  originalMaxAge?: unknown;
}

function cookieOf(session: object): CookieLike | undefined {
  const cookie = (session as { cookie?: unknown }).cookie;
  return typeof cookie === "object" && cookie !== null ? cookie : undefined;
}

/** The date that was last written as text: in one millisecond many sessions get the same. */
let lastDate = { ms: Number.NaN, text: "" };

/** A time as ISO text, or `undefined` where no date reaches so far. */
function isoOf(ms: number): string | undefined {
  if (ms !== lastDate.ms) {
    const date = new Date(ms);
    if (Number.isNaN(date.getTime())) return undefined;
    lastDate = { ms: date.getTime(), text: date.toISOString() };
  }
  return lastDate.text;
}

/** Whether a cookie says when it ends; whatever it says. */
function hasExpires(cookie: CookieLike | undefined): cookie is CookieLike {
  const expires = cookie?.expires;
  return expires !== undefined && expires !== null && expires !== false && expires !== "";
}

/** `cookie.expires` in ms since the epoch, or `undefined` where the cookie has none. */
function cookieExpires(cookie: CookieLike | undefined): number | undefined {
  if (!hasExpires(cookie)) return undefined;
  const { expires } = cookie;
  if (expires === lastDate.text) return lastDate.ms;
  const time =
    expires instanceof Date
      ? expires.getTime()
      : typeof expires === "string" || typeof expires === "number"
        ? new Date(expires).getTime()
        : Number.NaN;
  if (Number.isNaN(time)) {
    throw new StoreError(
      "ERR_INVALID_SESSION",
      "cookie.expires must be a date, or null for none; nothing was stored",
    );
  }
  return time;
}

function maxAgeOf(cookie: CookieLike | undefined): number | undefined {
  const maxAge = cookie?.originalMaxAge;
  return typeof maxAge === "number" && Math.abs(maxAge) <= LONGEST_S * 1000 ? maxAge : undefined;
}

function fromTtl(rules: ExpiryRules, session: object, sid: string): number {
  if (typeof rules.idle === "number") return rules.idle;
  let seconds: unknown;
  try {
    seconds = rules.idle(session, sid);
  } catch (error) {
    throw new StoreError(
      "ERR_INVALID_SESSION",
      "the ttl function threw; nothing was stored",
      error,
    );
  }
  // Zero or less ends the session.
  if (typeof seconds === "number" && seconds <= LONGEST_S) return seconds * 1000;
  throw new StoreError(
    "ERR_INVALID_SESSION",
    `the ttl function must return a number of seconds, at most ${LONGEST_S}, got ${shown(seconds)}; nothing was stored`,
  );
}

/** How long after `now` a session that is active at `now` ends, before any deadline. */
function idleFrom(rules: ExpiryRules, session: object, sid: string, now: number, inUse: boolean) {
  if (typeof rules.idle === "number") {
    const cookie = cookieOf(session);
    // The usual case, without reading the date.
    const maxAge = inUse && hasExpires(cookie) ? maxAgeOf(cookie) : undefined;
    if (maxAge !== undefined) return maxAge;
    const expires = cookieExpires(cookie);
    if (expires !== undefined) return expires - now;
  }
  return fromTtl(rules, session, sid);
}

/** Whether a session ends at the date of its cookie, whenever it is written. */
function isDated(rules: ExpiryRules, session: object, inUse: boolean): boolean {
  if (typeof rules.idle !== "number") return false;
  const cookie = cookieOf(session);
  return hasExpires(cookie) && (!inUse || maxAgeOf(cookie) === undefined);
}

/**
 * How long after its creation a session ends, active or not. `rolling: false` makes a deadline of
 * the idle timeout; a date that stands in the cookie without a maxAge is fixed as it is.
 */
function limitOf(rules: ExpiryRules, session: object, idle: number): number {
  if (rules.rolling) return rules.absolute;
  const cookie = cookieOf(session);
  const dated = typeof rules.idle === "number" && hasExpires(cookie);
  const fixed = dated ? (maxAgeOf(cookie) ?? Number.POSITIVE_INFINITY) : idle;
  return Math.min(fixed, rules.absolute);
}

/** Whether sessions have a deadline, and so a creation time. */
export function hasDeadline(rules: ExpiryRules): boolean {
  return !rules.rolling || rules.absolute !== Number.POSITIVE_INFINITY;
}

/**
 * When a session ends that is written or renewed at `now`: the `ttl` function, else
 * `cookie.expires`, else the `ttl` number, but never later than the deadline that `rolling: false`
 * and `absoluteTtl` set.
 *
 * @param created - when the session was created, in ms since the epoch
 * @param inUse - whether a request holds the session: then its `cookie.expires` was counted from the
 *   time when it was loaded, and `cookie.originalMaxAge` from `now` says the same without being stale
 * @throws ERR_INVALID_SESSION for an expiry that is no date and a `ttl` function that gives no number
 */
export function lifetime(
  rules: ExpiryRules,
  session: object,
  sid: string,
  created: number,
  now: number,
  inUse: boolean,
): Lifetime {
  const idle = idleFrom(rules, session, sid, now, inUse);
  // What does not roll needs no slack: there is nothing that a renewal would move.
  const slack = rules.rolling ? Math.max(0, Math.min(rules.touchAfter, idle / SLACK_SHARE)) : 0;
  const deadline = created + limitOf(rules, session, idle);
  return new Lifetime(now, idle, slack, deadline, isDated(rules, session, inUse));
}

/**
 * What to ask Redis for, in ms from when the command is sent; at least 1, since a millisecond may have
 * passed since it was found not to be over. Counted from then, unless a date is set: a write that had
 * to wait would take back what a later activity has given the session to live.
 */
export function pxOf(life: Lifetime, end: "exact" | "relaxed"): number {
  const { now, deadline, isDated } = life;
  const since = isDated ? Date.now() : now;
  return Math.max(1, Math.min(life[end] - since, Math.ceil(deadline - Date.now())));
}

/**
 * Whether a session has reached its deadline. Redis drops what has expired, except where a server
 * that knows of no deadline renewed it.
 */
export function isOver(
  rules: ExpiryRules,
  session: object,
  sid: string,
  created: number,
  now: number,
): boolean {
  try {
    return created + limitOf(rules, session, idleFrom(rules, session, sid, now, false)) <= now;
  } catch {
    // Without a usable expiry of its own it can only be saved once that is mended.
    return created + rules.absolute <= now;
  }
}

/**
 * Sets `cookie.expires` of a session that is handed out at `now` to what it is, as ISO text. The
 * stored date is the one of the last save: renewals do not rewrite the session. A session that is
 * saved with the old date would be over.
 *
 * Only where `cookie.originalMaxAge` is a number; otherwise the stored value stays.
 */
export function refreshExpires(
  rules: ExpiryRules,
  session: object,
  created: number,
  now: number,
): void {
  const cookie = cookieOf(session);
  const maxAge = maxAgeOf(cookie);
  if (cookie === undefined || maxAge === undefined) return;
  const from = rules.rolling ? now : created;
  const expires = isoOf(Math.min(from + maxAge, created + rules.absolute));
  if (expires !== undefined) cookie.expires = expires;
}
