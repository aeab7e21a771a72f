// The one place that knows what a session id may be and how it is shown.
import { StoreError } from "../base/index.js";

/** A glob special of Redis: a prefix such as `app[1]:` must be taken literally in a pattern. */
const GLOB = /[\\*?[\]]/g;

/** The pattern that matches every key which starts with exactly `prefix`. */
export function patternOf(prefix: string): string {
  return `${prefix.replace(GLOB, "\\$&")}*`;
}

/**
 * Whether a text can be told apart from every other one as part of a key. Halves of characters cannot:
 * as bytes all of them are the same, and so two ids would be one key.
 */
export function isWellFormed(text: string): boolean {
  return text.isWellFormed();
}

/** Refuses what cannot be a session id; `prefix + undefined` would be a key like any other. */
export function assertSid(sid: unknown): asserts sid is string {
  if (typeof sid !== "string" || sid === "") {
    const got = sid === "" ? "an empty string" : sid === null ? "null" : typeof sid;
    throw new StoreError("ERR_INVALID_SID", `a session id must be a non-empty string, got ${got}`);
  }
  if (!isWellFormed(sid)) {
    const message = "a session id must be well-formed Unicode, got one with a lone surrogate";
    throw new StoreError("ERR_INVALID_SID", message);
  }
}

/**
 * A session id for messages, logs and events. It is a credential, so at most six characters and
 * never more than a quarter of it are shown.
 */
export function shortSid(sid: string): string {
  return `${sid.slice(0, Math.min(6, sid.length >> 2))}…`;
}
