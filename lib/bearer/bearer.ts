// Carries a session by a bearer token where there is no cookie.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Session, SessionData, Store } from "express-session";
import { flag, invalid, StoreError } from "../base/index.js";
import { bearerOf, type Secret, Signer, type TokenOptions } from "./token.js";

export { type WhyMissing, type WhyMissingOptions, whyMissing } from "./why.js";
export type { Secret, TokenOptions };

declare global {
  namespace Express {
    interface Request {
      /**
       * The token of the request's session as it is now, also after `regenerate`; `undefined` without
       * a session. By `bearerToken`. Not enumerable, so that no log of a request shows it.
       */
      readonly sessionToken?: string | undefined;
    }
  }
}

/** A middleware, as express and connect call it. */
export type Middleware = (
  req: IncomingMessage,
  res: ServerResponse,
  next: (error?: unknown) => void,
) => void;

/** What express-session keeps in a request. */
interface SessionRequest extends IncomingMessage {
  session?: Session | null;
  sessionID?: string | undefined;
  sessionStore?: Store;
}

/**
 * Lets requests carry their session in `Authorization: Bearer <token>` instead of a cookie. Goes
 * before `session()`, with the same `secret` and `name`.
 *
 * A token that is forged or malformed, or whose session is gone, is answered with 401 (RFC 6750);
 * the former before the store is asked. The response to a bearer request sets no session cookie, and
 * the request itself shows its app no session cookie either.
 *
 * @throws ERR_INVALID_OPTION
 */
export function bearerToken(options: TokenOptions): Middleware {
  const signer = new Signer("bearerToken()", options);
  return (req: SessionRequest, res, next) => {
    if (req.session !== undefined) {
      const message = "bearerToken() must come before session(), which has been there already";
      next(new StoreError("ERR_INVALID_OPTION", message));
      return;
    }
    Object.defineProperty(req, "sessionToken", {
      configurable: true,
      enumerable: false,
      get: () => (req.session && req.sessionID ? signer.token(req.sessionID) : undefined),
    });
    const token = bearerOf(req.headers.authorization);
    if (token === undefined) {
      next();
      return;
    }
    const sid = signer.read(token);
    if (sid === undefined) {
      refuse(res);
      return;
    }
    setCookie(req, signer.otherCookies(req.headers.cookie));
    dropCookie(res, signer.name);
    lend(req, res, sid, signer.cookie(sid));
    next();
  };
}

/** Answers a request whose token is good for nothing. */
function refuse(res: ServerResponse): void {
  res.statusCode = 401;
  res.setHeader("WWW-Authenticate", 'Bearer error="invalid_token"');
  res.end();
}

function setCookie({ headers }: IncomingMessage, cookie: string | undefined): void {
  if (cookie === undefined) delete headers.cookie;
  else headers.cookie = cookie;
}

/** Takes the session cookie out of what a response sets. */
function dropCookie(res: ServerResponse, name: string): void {
  const writeHead = res.writeHead.bind(res);
  // express-session adds its cookie around this, and so before it.
  const wrapped = (...args: Parameters<typeof writeHead>): ServerResponse => {
    const set = res.getHeader("Set-Cookie");
    if (set !== undefined) {
      const all = Array.isArray(set) ? set : [String(set)];
      const others = all.filter((cookie) => !cookie.startsWith(`${name}=`));
      if (others.length === 0) res.removeHeader("Set-Cookie");
      else res.setHeader("Set-Cookie", others);
    }
    return writeHead(...args);
  };
  res.writeHead = wrapped as typeof writeHead;
}

/**
 * Lends express-session the cookie of the session, and has the request end with 401 when that is not
 * in the store: express-session would make a new session and go on, and says nothing of it. It puts
 * its store into the request, takes the session id from the cookie, and asks the store, all without a
 * pause in between. So the cookie need only be there in between, and the one question that it asks
 * then can be listened in on.
 */
function lend(req: SessionRequest, res: ServerResponse, sid: string, cookie: string): void {
  const others = req.headers.cookie;
  let sessionStore: Store | undefined;
  const settle = (name: "sessionStore" | "sessionID", value: unknown) =>
    Object.defineProperty(req, name, {
      configurable: true,
      enumerable: true,
      writable: true,
      value,
    });
  Object.defineProperty(req, "sessionStore", {
    configurable: true,
    enumerable: true,
    get: () => sessionStore,
    set(store: Store) {
      sessionStore = store;
      settle("sessionStore", store);
      setCookie(req, others === undefined ? cookie : `${cookie}; ${others}`);
      listenIn(store, sid, () => {
        // Nothing is there to be destroyed by `unset: "destroy"`.
        req.sessionID = undefined;
        refuse(res);
      });
    },
  });
  Object.defineProperty(req, "sessionID", {
    configurable: true,
    enumerable: true,
    get: () => undefined,
    set(found: unknown) {
      settle("sessionID", found);
      setCookie(req, others);
      if (found === sid) return;
      throw new StoreError(
        "ERR_INVALID_OPTION",
        "session() did not find the session that the token names: give bearerToken() and session() the same secret and the same name",
      );
    },
  });
}

/** Hears the answer to the next question for a session, if it is asked before anything else happens. */
function listenIn(store: Store, sid: string, onMissing: () => void): void {
  const own = Object.getOwnPropertyDescriptor(store, "get");
  const get = store.get.bind(store);
  const restore = () => {
    if (own !== undefined) Object.defineProperty(store, "get", own);
    else Reflect.deleteProperty(store, "get");
  };
  let isOver = false;
  const end = () => {
    if (!isOver) restore();
    isOver = true;
  };
  Object.defineProperty(store, "get", {
    configurable: true,
    writable: true,
    value(asked: string, callback: (error: unknown, session?: SessionData | null) => void) {
      end();
      if (asked !== sid) return get(asked, callback);
      return get(asked, (error: unknown, session?: SessionData | null) => {
        const isMissing = error ? (error as { code?: unknown }).code === "ENOENT" : !session;
        if (isMissing) onMissing();
        else callback(error, session);
      });
    },
  });
  queueMicrotask(end);
}

/** What `readSession` needs to know. */
export interface ReadSessionOptions extends TokenOptions {
  /** The store of `session()`. */
  store: Store;
  /**
   * Whether a request without a token is known by its cookie. A browser sends the cookie from any
   * page, also along with a WebSocket: either look at the header `Origin` first, or set this to `false`.
   * @default true
   */
  cookie?: boolean | undefined;
}

/**
 * The session of a request that has not gone through `session()`, such as a WebSocket upgrade: from
 * its bearer token, or without one from its cookie. Reading does not renew it; call `touch()` and
 * `save()` of the session for that.
 *
 * @returns `null` where there is none: no token or cookie, a forged one, or the session is gone
 * @throws what the store fails with, ERR_INVALID_OPTION
 */
export async function readSession(
  request: IncomingMessage,
  options: ReadSessionOptions,
): Promise<(Session & Partial<SessionData>) | null> {
  const signer = new Signer("readSession()", options, ["store", "cookie"]);
  const { store } = options;
  if (typeof (store as Partial<Store> | undefined)?.get !== "function") {
    throw invalid("store", "the store of session()", store);
  }
  const takesCookie = flag("cookie", options.cookie ?? true);
  const { authorization, cookie } = request.headers;
  const token = bearerOf(authorization);
  const ofCookie = takesCookie ? signer.readCookie(cookie) : undefined;
  const sid = token === undefined ? ofCookie : signer.read(token);
  if (sid === undefined) return null;
  const stored = await new Promise<SessionData | null | undefined>((resolve, reject) => {
    store.get(sid, (error: unknown, session) => {
      if (error) reject(error);
      else resolve(session);
    });
  });
  if (!stored) return null;
  // What a session needs of its request: its methods ask for these.
  const own = { sessionID: sid, sessionStore: store } as unknown as Parameters<
    Store["createSession"]
  >[0];
  return store.createSession(own, stored);
}
