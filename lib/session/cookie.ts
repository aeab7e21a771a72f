// The settings of a session cookie, and when two of them are the same.
/**
 * The settings of a session cookie as express-session stores them, with the value that a cookie
 * has where none is stored. `expires` is none of them: it follows from `originalMaxAge`.
 *
 * Source: `Cookie.prototype.data` of express-session 1.19.
 */
const DEFAULTS: Readonly<Record<string, unknown>> = {
  originalMaxAge: null,
  partitioned: undefined,
  priority: undefined,
  secure: undefined,
  httpOnly: true,
  domain: undefined,
  path: "/",
  sameSite: undefined,
};

const NAMES = Object.keys(DEFAULTS);

/** express-session takes `originalMaxAge` from the clock again at each touch; it drifts by a few ms. */
export const DRIFT_MS = 1000;

/** What the cookie of a session looks like where only its settings count. */
export type CookieSettings = Readonly<Record<string, unknown>>;

/** Whether two values of one cookie setting mean the same. */
export function sameSetting(name: string, a: unknown, b: unknown): boolean {
  if (a === b || (a ?? undefined) === (b ?? undefined)) return true;
  return (
    name === "originalMaxAge" &&
    typeof a === "number" &&
    typeof b === "number" &&
    Math.abs(a - b) < DRIFT_MS
  );
}

/** Whether two cookies, stored or live ones, have the same settings. */
export function sameSettings(a: CookieSettings, b: CookieSettings): boolean {
  if (areEqual(a, b)) return true;
  for (const name of NAMES) {
    const standard = DEFAULTS[name];
    const left = a[name];
    const right = b[name];
    if (left === right) continue;
    if (
      !sameSetting(
        name,
        left === undefined ? standard : left,
        right === undefined ? standard : right,
      )
    ) {
      return false;
    }
  }
  return true;
}

/** The usual case: each request comes here, and a loop over the names takes several times as long. */
function areEqual(a: CookieSettings, b: CookieSettings): boolean {
  return (
    a.originalMaxAge === b.originalMaxAge &&
    a.partitioned === b.partitioned &&
    a.priority === b.priority &&
    a.secure === b.secure &&
    a.httpOnly === b.httpOnly &&
    a.domain === b.domain &&
    a.path === b.path &&
    a.sameSite === b.sameSite
  );
}

/** The settings of a cookie, live or stored, as they are now. */
export function settingsOf(cookie: CookieSettings): CookieSettings {
  // No loop, as above.
  const { originalMaxAge, partitioned, priority, secure, httpOnly, domain, path, sameSite } =
    cookie;
  return { originalMaxAge, partitioned, priority, secure, httpOnly, domain, path, sameSite };
}
