// The forms that the option ttl had in connect-redis 1 to 6.
import type { SessionData } from "express-session";
import { LONGEST_S, StoreError, shown } from "../base/index.js";

/** `ttl` as connect-redis 1 to 6 took it, in seconds. */
export type LegacyTtl<Store> =
  | number
  | string
  | ((store: Store, session: SessionData, sid: string) => number | string);

/** How long a session lives without an option and a cookie that say so, in seconds. */
const ONE_DAY = 86_400;

/** What versions 1 to 6 read from a cookie; only the Cookie of a Session has a `maxAge`. */
interface CookieLike {
  readonly expires?: unknown;
  readonly maxAge?: unknown;
  readonly originalMaxAge?: unknown;
}

/**
 * The option as it is kept: what all versions but 3 took for "not set" is `undefined`.
 *
 * @throws ERR_INVALID_OPTION for what no version could use
 */
export function ttlOption<Store>(ttl: unknown): LegacyTtl<Store> | undefined {
  if (!ttl) return undefined;
  if (typeof ttl === "function") return ttl as LegacyTtl<Store>;
  const seconds = secondsIn(ttl);
  if (seconds > 0 && seconds <= LONGEST_S) return ttl as number | string;
  throw new StoreError(
    "ERR_INVALID_OPTION",
    `the option "ttl" must be a number of seconds above 0, at most ${LONGEST_S}, as a number or as text, or a function, got ${shown(ttl)}`,
  );
}

/**
 * How many seconds a session has to live.
 *
 * @param own - whether the store made its client: then the rule of versions 1 to 3 holds (`ttl`,
 *   else the cookie's age rounded down), otherwise that of 4 to 6 (the cookie's expiry rounded up,
 *   else `ttl`); a function wins in all of them
 */
export function secondsOf<Store extends { readonly ttl: LegacyTtl<Store> | undefined }>(
  store: Store,
  own: boolean,
  session: SessionData,
  sid: string,
): number {
  const { ttl } = store;
  if (typeof ttl === "function") return secondsIn(ttl(store, session, sid));
  if (own && ttl) return secondsIn(ttl);
  const ms = left(session, own);
  if (ms !== undefined) return own ? Math.floor(ms / 1000) : Math.ceil(ms / 1000);
  return ttl ? secondsIn(ttl) : ONE_DAY;
}

/** A number, or text that is one; anything else is NaN, which the store refuses. */
function secondsIn(value: unknown): number {
  if (typeof value === "number") return value;
  return typeof value === "string" && value.trim() !== "" ? Number(value) : Number.NaN;
}

/** How long the cookie is good for, in ms; `undefined` where it does not say. */
function left(session: object, own: boolean): number | undefined {
  const { cookie } = session as { cookie?: CookieLike | null };
  if (!cookie) return undefined;
  const { expires, maxAge, originalMaxAge } = cookie;
  // Of a Session in use `expires` was counted from the time when the request began.
  const inUse = typeof (session as { save?: unknown }).save === "function";
  if (inUse && expires && typeof originalMaxAge === "number") return originalMaxAge;
  if (own && typeof maxAge === "number") return maxAge;
  if (!expires) return undefined;
  const end = new Date(expires as string | number | Date).getTime();
  if (!Number.isNaN(end)) return end - Date.now();
  throw new StoreError(
    "ERR_INVALID_SESSION",
    "cookie.expires must be a date, or null for none; nothing was stored",
  );
}
