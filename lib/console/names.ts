// Names what a page speaks of without showing it: sealed under the console's key, for an hour.
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";
import { Refusal } from "./refusal.js";

const DOMAIN = "redis-session-store console";
/** How long a name holds, in ms. */
export const HOUR = 3_600_000;
/** The longest name in an address or a form; a longer one is none. */
const LONGEST = 8192;
const NONCE = 12;
const TAG = 16;

/** What a name is for; one for a page does not end anything. */
export type Purpose = "session" | "user" | "endOne" | "endAll" | "endOthers" | "done";

/** Seals and opens the names of one console. */
export class Names {
  readonly #key: Buffer;
  readonly #prefix: string;

  /**
   * @param secret - the option `key`; without it a random one, which serves this process
   * @param prefix - of the store: a name of another one is none here
   */
  constructor(secret: string | Uint8Array = randomBytes(32), prefix: string) {
    this.#key = Buffer.from(hkdfSync("sha256", secret, "", DOMAIN, 32));
    this.#prefix = prefix;
  }

  /** A name: base64url of a nonce, the JSON of its end and `value` under AES-256-GCM, and the tag. */
  seal(purpose: Purpose, value: unknown): string {
    const nonce = randomBytes(NONCE);
    const cipher = createCipheriv("aes-256-gcm", this.#key, nonce).setAAD(this.#context(purpose));
    const text = JSON.stringify([Date.now() + HOUR, value]);
    const sealed = [nonce, cipher.update(text), cipher.final(), cipher.getAuthTag()];
    return Buffer.concat(sealed).toString("base64url");
  }

  /** What was sealed; `undefined` for what is no name of this console, or no longer. */
  open(purpose: Purpose, name: string): unknown {
    if (name.length > LONGEST) return undefined;
    const sealed = Buffer.from(name, "base64url");
    if (sealed.length <= NONCE + TAG) return undefined;
    try {
      const decipher = createDecipheriv("aes-256-gcm", this.#key, sealed.subarray(0, NONCE), {
        authTagLength: TAG,
      });
      decipher.setAAD(this.#context(purpose)).setAuthTag(sealed.subarray(-TAG));
      const text = Buffer.concat([decipher.update(sealed.subarray(NONCE, -TAG)), decipher.final()]);
      const [end, value] = JSON.parse(text.toString()) as [number, unknown];
      return Date.now() < end ? value : undefined;
    } catch {
      return undefined;
    }
  }

  /** What was sealed. @throws Refusal for what is no name of this console, or no longer */
  opened<Value>(purpose: Purpose, name: string): Value {
    const value = this.open(purpose, name) as Value | undefined;
    if (value !== undefined) return value;
    const message =
      "What this page or form names is not known here: it is over an hour old, or of another console or process. Begin from the list. Nothing was ended.";
    throw new Refusal(410, message);
  }

  /** What tells one sealing from every other, however its text is written. */
  static markOf(name: string): string {
    return Buffer.from(name, "base64url").subarray(0, NONCE).toString("base64url");
  }

  #context(purpose: Purpose): Buffer {
    return Buffer.from(JSON.stringify([DOMAIN, this.#prefix, purpose]));
  }
}
