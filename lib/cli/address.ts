// The address that the command line or the environment gives, and how it is shown.
import { usage } from "./failure.js";

/** Where nobody says otherwise. */
const HERE = "redis://127.0.0.1:6379";

/** The address of a server. Its password is in no text that this makes. */
export class Address {
  readonly #url: URL;

  /**
   * @param given - the option `--url`: every user of the machine sees it, so it may hold no password
   * @throws Failure for what is no address of a Redis
   */
  constructor(given: string | undefined, env: NodeJS.ProcessEnv) {
    const text = given ?? (env.REDIS_URL || HERE);
    if (!URL.canParse(text)) {
      throw usage('the address must be like "redis://host:6379"; what was given is none');
    }
    this.#url = new URL(text);
    if (!/^(redis|rediss|valkey|valkeys):$/.test(this.#url.protocol)) {
      throw usage('the address must begin with "redis://" or "rediss://"');
    }
    if (given !== undefined && this.#url.password !== "") {
      throw usage(
        "--url has a password, which everyone sees who lists processes: put the address into REDIS_URL",
      );
    }
    this.#url.protocol = this.#url.protocol.replace("valkey", "redis");
  }

  /** As clients take it, with the password. */
  get href(): string {
    return this.#url.href;
  }

  get isSecure(): boolean {
    return this.#url.protocol === "rediss:";
  }

  get user(): { username?: string; password?: string } {
    const { username, password } = this.#url;
    return {
      ...(username ? { username: decoded(username) } : {}),
      ...(password ? { password: decoded(password) } : {}),
    };
  }

  /** For people. */
  toString(): string {
    const { protocol, username, host, pathname } = this.#url;
    return `${protocol}//${username && `${username}@`}${host}${pathname === "/" ? "" : pathname}`;
  }

  /** A text in which nothing of the password is left. */
  without(text: string): string {
    const { password } = this.#url;
    return [password, decoded(password)]
      .filter((secret) => secret !== "")
      .reduce((clean, secret) => clean.replaceAll(secret, "***"), text);
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
