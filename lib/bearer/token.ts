// Signs a session id as a token, and finds tokens in requests.
import type { KeyObject } from "node:crypto";
import { sign, unsign } from "cookie-signature";
import { assertOptions, invalid, StoreError } from "../base/index.js";

/** What session ids are signed with, as in the option `secret` of express-session. */
export type Secret = string | NodeJS.ArrayBufferView | KeyObject;

/** What tokens and session cookies have in common; the same as for `session()`. */
export interface TokenOptions {
  /** One secret, or several: the first one signs, all of them are accepted. None may be empty. */
  secret: Secret | readonly Secret[];
  /**
   * The name of the session cookie.
   * @default "connect.sid"
   */
  name?: string | undefined;
}

/**
 * What may stand in a token for itself: the alphabet `token68` without the padding. `~` marks a sid
 * that is encoded.
 *
 * Source: RFC 9110, section 11.2
 */
const PLAIN = /^[A-Za-z0-9\-._+/][A-Za-z0-9\-._~+/]*$/;
const TOKEN = /^[A-Za-z0-9\-._~+/]+=*$/;

/** The names of {@link TokenOptions}. */
const TOKEN_OPTIONS = ["secret", "name"] as const;

/** The session ids in tokens and cookies, signed as express-session signs them. */
export class Signer {
  readonly name: string;
  readonly #secrets: readonly Secret[];

  /**
   * @param caller - whose options they are
   * @param more - what else the caller takes
   * @throws ERR_INVALID_OPTION
   */
  constructor(caller: string, options: TokenOptions, more: readonly string[] = []) {
    assertOptions(caller, options, [...TOKEN_OPTIONS, ...more]);
    const { secret, name = "connect.sid" } = options;
    const secrets = (Array.isArray(secret) ? secret : [secret]) as readonly unknown[];
    if (secrets.length === 0 || !secrets.every(isSecret)) {
      // Without what was got, which may be a secret.
      const message =
        'the option "secret" must be the secret of session(): text, bytes or a secret KeyObject, or an array of these; an empty one signs for everybody';
      throw new StoreError("ERR_INVALID_OPTION", message);
    }
    if (typeof name !== "string" || name === "") {
      throw invalid("name", "the name of the session cookie", name);
    }
    this.name = name;
    this.#secrets = secrets;
  }

  /** The token of a session. */
  token(sid: string): string {
    const signed = this.#sign(sid);
    if (PLAIN.test(sid)) return signed;
    return `~${Buffer.from(sid).toString("base64url")}${signed.slice(sid.length)}`;
  }

  /** The session id in a token, or `undefined` where it is not one of ours. */
  read(token: string): string | undefined {
    const dot = token.lastIndexOf(".");
    if (dot < 1 || !TOKEN.test(token)) return undefined;
    const start = token.slice(0, dot);
    const isEncoded = start.startsWith("~");
    const sid = isEncoded ? Buffer.from(start.slice(1), "base64url").toString() : start;
    if (this.#unsign(sid + token.slice(dot)) === undefined) return undefined;
    // A session has one token, not several ways to write it.
    return !isEncoded || this.token(sid).startsWith(`${start}.`) ? sid : undefined;
  }

  /** The session cookie of a session. */
  cookie(sid: string): string {
    return `${this.name}=${encodeURIComponent(`s:${this.#sign(sid)}`)}`;
  }

  /** The header `Cookie` without whatever it had of the session cookie's name. */
  otherCookies(header: string | undefined): string | undefined {
    const others = cookiesOf(header).filter(([name]) => name !== this.name);
    return others.length === 0 ? undefined : others.map(([, , whole]) => whole).join("; ");
  }

  /** Whether a request has a session cookie, whatever is in it. */
  hasCookie(header: string | undefined): boolean {
    return cookiesOf(header).some(([name]) => name === this.name);
  }

  /** The session id in the session cookie of a request, or `undefined`. */
  readCookie(header: string | undefined): string | undefined {
    const [, value] = cookiesOf(header).find(([name]) => name === this.name) ?? [];
    if (value === undefined) return undefined;
    const unquoted = /^"(.*)"$/.exec(value)?.[1] ?? value;
    let decoded: string;
    try {
      decoded = decodeURIComponent(unquoted);
    } catch {
      return undefined;
    }
    return decoded.startsWith("s:") ? this.#unsign(decoded.slice(2)) : undefined;
  }

  #sign(sid: string): string {
    return sign(sid, this.#secrets[0] as Secret);
  }

  #unsign(signed: string): string | undefined {
    for (const secret of this.#secrets) {
      const sid = unsign(signed, secret);
      if (sid !== false) return sid;
    }
    return undefined;
  }
}

function isSecret(secret: unknown): secret is Secret {
  return (
    (typeof secret === "string" && secret !== "") ||
    (ArrayBuffer.isView(secret) && secret.byteLength > 0) ||
    Number((secret as Partial<KeyObject> | null | undefined)?.symmetricKeySize) > 0
  );
}

type Cookie = [name: string, value: string, whole: string];

/** The cookies of a request. */
function cookiesOf(header: string | undefined): Cookie[] {
  if (header === undefined) return [];
  return header.split(";").flatMap((part): Cookie[] => {
    const whole = part.trim();
    const equals = whole.indexOf("=");
    if (equals === -1) return [];
    return [[whole.slice(0, equals).trim(), whole.slice(equals + 1).trim(), whole]];
  });
}

/** The token of a request: `undefined` without one, `""` for a header that is not well-formed. */
export function bearerOf(authorization: string | undefined): string | undefined {
  if (authorization === undefined || !/^bearer(?:\s|$)/i.test(authorization)) return undefined;
  const [, token = ""] = /^bearer +(\S+) *$/i.exec(authorization) ?? [];
  return TOKEN.test(token) ? token : "";
}
