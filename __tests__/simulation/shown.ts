// What goes over the network, for who reads a history.
import { opened, SCRIPTS } from "./app-server.js";
import { placesOf, shownPlaces } from "./history.js";

/** When time begins, in s since the epoch. */
const BEGIN = 1893456;

interface Stored {
  readonly cookie?: { readonly originalMaxAge?: number | null; readonly expires?: string | null };
  readonly salt?: string;
  readonly __createdAt?: number;
  readonly __mark?: string;
}

/** A stored session: what the app has in it, and what else makes its text another one. */
export function shownStored(stored: Buffer, sid: string): string {
  const text = stored.toString();
  let session: Stored;
  try {
    session = JSON.parse(opened(stored, sid)) as Stored;
  } catch {
    return `${text.slice(0, 30)}…`;
  }
  const { cookie, salt, __createdAt: created, __mark: mark } = session;
  const more = [
    cookie?.originalMaxAge && `maxAge ${cookie.originalMaxAge}`,
    cookie?.expires && `expires ${Date.parse(cookie.expires)}`,
    created && `created ${created}`,
    mark && `mark ${mark.slice(0, 4)}`,
    salt && `text ${salt}`,
    text.startsWith("rss1.") && "sealed",
  ].filter(Boolean);
  return `(${[shownPlaces(placesOf(session)), ...more].join(", ")})`;
}

/**
 * A line with names in it: of scripts, users and times.
 *
 * @param texts - stored sessions by their digests, as they are shown
 */
export function named(line: string, texts: ReadonlyMap<string, string>): string {
  return line
    .replace(/\b[0-9a-f]{40}\b/g, (sha) => SCRIPTS.get(sha) ?? texts.get(sha) ?? sha.slice(0, 8))
    .replace(/ EVAL(?:SHA)? ([A-Z_]+) \d+ /, " $1 ")
    .replace(
      /:?users-of:\S*?\{([\w-]+)\}(?::active :?users-of:\S*:ends)?/g,
      (_, user: string) => `the index of ${Buffer.from(user, "base64url").toString()}`,
    )
    .replace(new RegExp(`\\b800${BEGIN}(\\d{6})\\b`, "g"), (_, ms) => `coming-since-${Number(ms)}`)
    .replace(new RegExp(`\\b${BEGIN}(\\d{6})(?:\\d{3})?\\b`, "g"), (_, ms) => String(Number(ms)));
}

/** A history without what tells nothing: signs of life, and scripts that are sent a second time since the server did not know them. */
export function readable(told: readonly string[]): string[] {
  const done = (line: string) => line.slice(8).split(" → ", 1)[0];
  return told.filter((line, at) => {
    if (line.endsWith("PING → PONG")) return false;
    if (!line.includes(" → NOSCRIPT")) return true;
    return !told.slice(at + 1).some((later) => done(later) === done(line));
  });
}
