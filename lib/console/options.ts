// What the options of a console are, and their one check.
import type { IncomingMessage } from "node:http";
import type { SessionData } from "express-session";
import { assertOptions, Checks, invalid, whole } from "../base/index.js";
import type { RedisStore } from "../index.js";

/** Who asks: a reader sees, a writer ends sessions too. */
export type Access =
  | { readonly role: "read"; readonly actor?: string | undefined }
  | { readonly role: "write"; readonly actor: string };

/** What `audit` hears. */
export interface AuditEntry {
  /** `intent`: before something is ended; `outcome`: after it; `reveal`: before content is shown. */
  readonly event: "intent" | "outcome" | "reveal";
  readonly action: "end" | "endAll" | "endOthers" | "reveal";
  /** As `authorize` said. */
  readonly actor: string | undefined;
  /** The session that it is about: of `endOthers` the one that stays. */
  readonly handle?: string;
  /** The user whose sessions are ended. */
  readonly user?: string;
  /** Why, where the form gave a reason. */
  readonly because?: string;
  /** Of an outcome: how many sessions were ended. */
  readonly ended?: number;
  /** Of an outcome: the code of the error with which it failed; some sessions may have been ended. */
  readonly error?: string;
  /** Of a reveal: the places in the session whose values are shown. */
  readonly paths?: readonly (readonly string[])[];
}

/** Options of {@link sessionConsole}. */
export interface ConsoleOptions<Request extends IncomingMessage = IncomingMessage> {
  /** The store whose sessions are shown. */
  readonly store: RedisStore;
  /**
   * Who asks. Called on every request. `null` denies, and so does everything that is no
   * {@link Access}, an error, and no answer within `timeout`.
   */
  readonly authorize: (request: Request) => Access | null | Promise<Access | null>;
  /**
   * Hears what is ended, before and after, and what is revealed, before. It is waited for, for at most
   * `timeout`. If it fails, nothing is ended and nothing revealed.
   */
  readonly audit?: ((entry: AuditEntry) => unknown) | undefined;
  /**
   * Whether a value in a session may be shown to this actor: only `true` shows it. Called for each
   * value that is no object of others. Without it only types and sizes are shown.
   */
  readonly reveal?:
    | ((path: readonly string[], value: unknown, actor: string | undefined) => boolean)
    | undefined;
  /**
   * Whose session it is, as in the options of the store: pages then show it. A user's page needs the
   * store's option `userId` too.
   */
  readonly userId?: ((session: SessionData) => string | number | null | undefined) | undefined;
  /**
   * What names in pages are sealed under: at least 32 characters or bytes, the same in all processes
   * that serve this console.
   * @default a random one, which serves this process alone
   */
  readonly key?: string | Uint8Array | undefined;
  /**
   * What browsers call the place of the console, for those that send no `Sec-Fetch-Site`:
   * `"https://admin.example.com"`. Behind a proxy that changes the header Host, set it.
   * @default the one that the header Host names
   */
  readonly origin?: string | undefined;
  /**
   * How long `authorize` and `audit` may take, in ms.
   * @default 5000
   */
  readonly timeout?: number | undefined;
}

const NAMES = ["store", "authorize", "audit", "reveal", "userId", "key", "origin", "timeout"];

/** Shorter keys could be guessed. */
const SHORTEST_KEY = 32;
const LONGEST_TIMEOUT = 60_000;

/** @throws ERR_INVALID_OPTION */
export function checked<Request extends IncomingMessage>(
  options: ConsoleOptions<Request>,
): ConsoleOptions<Request> & { readonly timeout: number } {
  assertOptions("sessionConsole()", options, NAMES);
  const { store, authorize, audit, reveal, userId, key, origin } = options;
  const checks = new Checks();
  checks.of(() => {
    const known = store as { page?: unknown; handleOf?: unknown } | null | undefined;
    if (typeof known?.page !== "function" || typeof known.handleOf !== "function") {
      throw invalid("store", "a RedisStore", store);
    }
  });
  checks.of(() => {
    if (typeof authorize !== "function") {
      throw invalid("authorize", "a function of the request that says who asks", authorize);
    }
  });
  for (const [name, value] of Object.entries({ audit, reveal, userId })) {
    checks.of(() => {
      if (value !== undefined && typeof value !== "function")
        throw invalid(name, "a function", value);
    });
  }
  checks.of(() => {
    const isKey = typeof key === "string" || key instanceof Uint8Array;
    if (key !== undefined && !(isKey && key.length >= SHORTEST_KEY)) {
      const got = isKey ? key.length : key;
      throw invalid("key", `at least ${SHORTEST_KEY} characters or bytes`, got);
    }
  });
  checks.of(() => {
    if (origin !== undefined && !isOrigin(origin)) {
      throw invalid("origin", 'an origin such as "https://admin.example.com"', origin);
    }
  });
  const timeout = checks.of(() => whole("timeout", options.timeout ?? 5000, LONGEST_TIMEOUT));
  checks.end();
  return { ...options, timeout };
}

function isOrigin(value: unknown): boolean {
  if (typeof value !== "string" || !URL.canParse(value)) return false;
  const url = new URL(value);
  return url.origin === value && /^https?:$/.test(url.protocol);
}
