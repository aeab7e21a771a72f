// What the methods of the store take: their options, and the checks of all arguments.
import type { SessionData } from "express-session";
import { assertOptions, flag, invalid, StoreError, shown, text, whole } from "./base/index.js";
import type { Ending } from "./endings/index.js";

/** Options of `destroy` and `destroyOf`. */
export interface DestroyOptions {
  /**
   * Why, in your words, for `whyGone()`; at most 1000 characters. It is stored as it is, and shown to
   * whom you show it. Needs the option `endings`.
   */
  readonly because?: string | undefined;
}

/** Options of `destroyAllOf`. */
export interface DestroyAllOptions extends DestroyOptions {
  /**
   * The id of a session that stays, or several. Leave it out to end all of them: `undefined`, which a
   * slip of the pen gives, is refused.
   */
  readonly except?: string | readonly string[];
  /**
   * Looks through all sessions too, for those that no index names: stored before the option `userId`
   * was set, by another store, or whose index was evicted. Takes as long as `sessions()`. Where some
   * are sealed under a key that the store has not, it ends the others and then rejects with
   * ERR_UNKNOWN_KEY, `removed` and `unreadable`.
   * @default false
   */
  readonly scan?: boolean;
}

/** Options of `page`. */
export interface PageOptions {
  /** Of the page before; `null` or none for the first one. */
  readonly cursor?: string | null | undefined;
  /**
   * About how many sessions, from 1 to 1000.
   * @default 100
   */
  readonly limit?: number | undefined;
}

/** What is remembered of an ending is no place for documents. */
const LONGEST_BECAUSE = 1000;

/** Which page `page()` is to give. */
export function pageAsked(options: PageOptions): { cursor: string | null; limit: number } {
  assertOptions("page()", options, ["cursor", "limit"]);
  const { cursor, limit } = options;
  return {
    cursor: cursor === undefined || cursor === null ? null : text("cursor", cursor),
    limit: whole("limit", limit ?? 100, 1000),
  };
}

/**
 * Why somebody else than the user ends a session.
 *
 * @param method - that has these options
 * @param isNoted - whether the store remembers why
 */
export function revocation(method: string, options: DestroyOptions, isNoted: boolean): Ending {
  assertOptions(method, options, ["because"]);
  return revoked(options, isNoted);
}

/** What `destroyAllOf()` is to end, and why. */
export function revocationOfAll(
  options: DestroyAllOptions,
  isNoted: boolean,
): { spared: Set<string>; scan: boolean; ending: Ending } {
  assertOptions("destroyAllOf()", options, ["except", "scan", "because"]);
  return {
    scan: flag("scan", options.scan ?? false),
    spared: sparedBy(options),
    ending: revoked(options, isNoted),
  };
}

/** The handle that `whyGone()` was given in place of an id. */
export function handleAsked(of: { readonly handle: string }): string {
  assertOptions("whyGone()", of, ["handle"]);
  assertHandle(of.handle);
  return of.handle;
}

export function assertHandle(handle: unknown): asserts handle is string {
  if (typeof handle !== "string") throw invalid("handle", "what handleOf() gives", handle);
}

/** The error for what cannot be had without notes on endings. */
export function needsEndings(what: string): StoreError {
  const message = `${what} needs the option "endings" of the store, for example endings: { keepFor: 86400 }`;
  return new StoreError("ERR_INVALID_OPTION", message);
}

export function assertSession(session: unknown): asserts session is SessionData {
  if (typeof session === "object" && session !== null && !Array.isArray(session)) return;
  const got = session === null ? "null" : Array.isArray(session) ? "an array" : typeof session;
  throw new StoreError(
    "ERR_INVALID_SESSION",
    `a session must be an object, got ${got}; nothing was stored`,
  );
}

function revoked({ because }: DestroyOptions, isNoted: boolean): Ending {
  if (because === undefined) return { reason: "revoked" };
  if (!isNoted) throw needsEndings('the option "because"');
  if (typeof because !== "string" || because.length > LONGEST_BECAUSE) {
    throw invalid("because", `a string of at most ${LONGEST_BECAUSE} characters`, because);
  }
  return { reason: "revoked", because };
}

function sparedBy(options: DestroyAllOptions): Set<string> {
  if (!("except" in options)) return new Set();
  const { except } = options as { except: unknown };
  const sids: unknown[] = Array.isArray(except) ? except : [except];
  if (sids.every((sid) => typeof sid === "string" && sid !== "")) return new Set(sids as string[]);
  const message = `the option "except" of destroyAllOf() must be a session id or an array of session ids, got ${shown(except)}; leave it out to end all sessions of the user. Nothing was ended`;
  throw new StoreError("ERR_INVALID_OPTION", message);
}
