import { createHash, randomBytes } from "node:crypto";
import session from "express-session";

/** How many different sessions are in use at a time. */
export const HOT = 1000;

/** What is below every store: a Map and JSON.parse, which a session of one's own takes. */
export const FLOOR = "Map, JSON.parse";

export const DAY_MS = 86_400_000;

/** The ids of the hot sessions, as long as those of express-session; the same in every process. */
export const sids = Array.from({ length: HOT }, (_, index) => sidOf(index));

/** The id of one of many sessions. */
export function sidOf(/** @type {number} */ index) {
  return createHash("sha256").update(String(index)).digest("base64url").slice(0, 32);
}

export function newSid() {
  return randomBytes(24).toString("base64url");
}

/** What a shop keeps of a visitor: about 500 bytes as JSON, cookie included. */
export function content() {
  return {
    user: { id: 48_113, name: "Ada Lovelace", email: "ada@example.org", roles: ["user", "editor"] },
    csrfSecret: "q8Jk2Vb0sZ1xT9eR4wLm7c3Y",
    locale: "en-GB",
    views: 0,
    lastSeen: "2026-01-01T12:00:00.000Z",
    basket: [
      { sku: "BK-1843-ENG", title: "Notes on the Analytical Engine", quantity: 1, price: 1843 },
      { sku: "PN-0001-BLK", title: "Fountain pen, black", quantity: 2, price: 2950 },
    ],
  };
}

/** express-session exports its classes, and the type package does not name them so. */
const { Session, Cookie } = /**
 * @type {{
 *   Session: new (req: object, data: object) => session.Session & session.SessionData,
 *   Cookie: new (options: object) => session.Cookie
 * }}
 */ (/** @type {unknown} */ (session));

/**
 * A session that a request has just begun, made as express-session makes it.
 *
 * @param {string} sid
 * @param {unknown} sessionStore
 * @param {number | null} maxAge of the cookie, in ms
 */
export function newSession(sid, sessionStore, maxAge) {
  const created = new Session({ sessionID: sid, sessionStore }, {});
  created.cookie = new Cookie(maxAge === null ? {} : { maxAge });
  return Object.assign(created, content());
}
