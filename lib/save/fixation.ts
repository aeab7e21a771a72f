// Recognises a login under the id that the session had before: session fixation, waiting.
import { StoreError } from "../base/index.js";
import { type Loaded, shortSid } from "../session/index.js";

/**
 * Whether a save makes a session somebody's that was nobody's, under the same id. Whoever planted
 * that id in the browser, before the login, has it after the login too. A session that was never
 * stored has a new id.
 *
 * Source: OWASP ASVS 5.0, 7.2.4
 */
export function isFixation({ held, user }: Loaded, userNow: string | undefined): boolean {
  return held !== undefined && user === undefined && userNow !== undefined;
}

/** The error for such a save where the option `requireNewId` forbids it. */
export function fixationError(sid: string): StoreError {
  const message = `session ${shortSid(sid)} was nobody's and is to be a user's under the same id: call req.session.regenerate() before you log in; nothing was stored`;
  return new StoreError("ERR_INVALID_SESSION", message);
}
