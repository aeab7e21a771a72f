// Why a request has no session.
import type { IncomingMessage } from "node:http";
import { invalid } from "../base/index.js";
import type { WhyGone } from "../index.js";
import { bearerOf, Signer, type TokenOptions } from "./token.js";

/** What `whyMissing` needs to know; `secret` and `name` as for `session()`. */
export interface WhyMissingOptions extends TokenOptions {
  /** The store of `session()`, with its option `endings`. */
  store: { whyGone(sid: string): Promise<WhyGone | null> };
}

/** Why a request has no session. */
export interface WhyMissing extends Omit<WhyGone, "reason"> {
  /**
   * As of `whyGone`; or `no-cookie`: the request has neither a session cookie nor a bearer token, or
   * `bad-signature`: it has one that none of the secrets has signed.
   */
  readonly reason: WhyGone["reason"] | "no-cookie" | "bad-signature";
}

/**
 * Why the session cookie or bearer token of a request opened nothing, for a login page: "you were
 * logged out on another device". Only who has the cookie is told.
 *
 * @returns `null` where the session is there
 * @throws what the store fails with, ERR_INVALID_OPTION
 */
export async function whyMissing(
  request: IncomingMessage,
  options: WhyMissingOptions,
): Promise<WhyMissing | null> {
  const signer = new Signer("whyMissing()", options, ["store"]);
  const { store } = options;
  if (typeof (store as Partial<WhyMissingOptions["store"]> | undefined)?.whyGone !== "function") {
    throw invalid("store", "the store of session(), a RedisStore", store);
  }
  const { authorization, cookie } = request.headers;
  const token = bearerOf(authorization);
  if (token === undefined && !signer.hasCookie(cookie)) return unknown("no-cookie");
  const sid = token === undefined ? signer.readCookie(cookie) : signer.read(token);
  return sid === undefined ? unknown("bad-signature") : store.whyGone(sid);
}

function unknown(reason: WhyMissing["reason"]): WhyMissing {
  return { reason, at: null, because: undefined };
}
