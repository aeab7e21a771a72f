// The options of the store: what they mean, their defaults, and their one check at construction.
import type { SessionData } from "express-session";
import {
  Checks,
  flag,
  invalid,
  StoreError,
  seconds,
  secondsOrZero,
  shown,
  text,
  unknownNames,
  whole,
} from "./base/index.js";
import { assertClient, isClient, type RedisClient } from "./client/index.js";
import {
  type EncryptionOptions,
  type ExpiryRules,
  hasDeadline,
  type Keyring,
  keyringOf,
  type Serializer,
  type Tree,
} from "./session/index.js";

/**
 * Decides what becomes of a session that another request changed meanwhile.
 *
 * @param ancestor - the session as this request loaded or last saved it
 * @param current - the session as it is in Redis
 * @param mine - the session as this request wants it to be
 * @returns the session to store; what it throws fails the save
 */
export type ConflictResolver = (
  ancestor: SessionData,
  current: SessionData,
  mine: SessionData,
) => SessionData | Promise<SessionData>;

/** The options of `RedisStore`. Checked once, by the constructor: ERR_INVALID_OPTION. */
export interface RedisStoreOptions<Client extends RedisClient = RedisClient> {
  /**
   * The Redis client, connected or connecting; the store never connects or closes it.
   * A client that has not been connected yet is waited for up to `timeout`.
   */
  client: Client;

  /**
   * What the key of a session starts with; the rest is its id. Any text, taken literally.
   * With the empty prefix every string key of the database counts as a session.
   * @default "sess:"
   */
  prefix?: string | undefined;

  /**
   * Idle timeout in seconds, for sessions whose cookie has no expiry; or a function that gives it
   * for every session and then wins over the cookie. Zero or less from the function ends the session.
   * @default 86400
   */
  ttl?: number | ((session: SessionData, sid: string) => number) | undefined;

  /**
   * `true`: activity renews the expiry. `false`: it is counted from the creation of the session.
   * Not to be confused with the option of express-session, which renews the browser's cookie.
   * @default true
   */
  rolling?: boolean | undefined;

  /**
   * Seconds within which a renewed session is not renewed again, at most 1/60 of its own life.
   * So long a session may live after its idle timeout; it never dies before. `0` renews with each
   * request and is exact.
   * @default 60
   */
  touchAfter?: number | undefined;

  /**
   * Seconds since its creation after which a session ends, active or not. A session that was
   * written by another store counts from the first request that this one sees.
   * @default none
   */
  absoluteTtl?: number | undefined;

  /**
   * What to do when another request has changed the session since this one loaded it. `"merge"`
   * keeps both changes; `"overwrite"` is the last writer wins of connect-redis, and needs no
   * scripting; a function decides for itself.
   * @default "merge"
   */
  conflict?: "merge" | "overwrite" | ConflictResolver | undefined;

  /**
   * How sessions are written: `parse` and `stringify`, each sync or async. With `binary: true` they
   * read and write bytes. Changing it makes the stored sessions unreadable.
   * @default JSON
   */
  serializer?: Serializer | undefined;

  /**
   * Encrypts what is in a session, each under a key of its own; see docs/encryption.md. A function
   * may stand for the object; it is asked again by `reloadKeys()`. No other store can work on the
   * same keys then, connect-redis included.
   * @default none
   */
  encryption?: EncryptionOptions | (() => EncryptionOptions) | undefined;

  /**
   * Sessions never expire in Redis: nothing is ever deleted unless you do it. Not together with
   * `rolling: false` or `absoluteTtl`.
   * @default false
   */
  disableTTL?: boolean | undefined;

  /**
   * A request that changes nothing does not renew the expiry.
   * @default false
   */
  disableTouch?: boolean | undefined;

  /**
   * How many keys a listing asks Redis for at a time. Less than 1000 counts as 1000.
   * @default 100
   */
  scanCount?: number | undefined;

  /**
   * Milliseconds that one round trip to Redis may take, and that a save may try again while other
   * processes change the same session. After it the operation fails; a write may still happen.
   * @default 2000
   */
  timeout?: number | undefined;

  /**
   * What an app sees while Redis does not answer. `"error"`: requests fail. `"bypass"`:
   * express-session is told by its events `disconnect` and `connect`, and serves requests without a
   * session, `req.session` being undefined; only for apps that can do without.
   * @default "error"
   */
  whenDown?: "error" | "bypass" | undefined;

  /**
   * Keeps the text of the `max` sessions last used in memory and answers reads from there, for as
   * long as the server vouches for it (client tracking). A single server with the package redis 5
   * or 6. A session that was destroyed elsewhere is served until the announcement arrives; if the
   * connection is dead without a sign, for up to a second and `timeout`.
   * @default false
   */
  cache?: false | { max: number } | undefined;

  /**
   * Names the user of a session by any text but the empty one or by a safe integer, which counts as its
   * decimal text; `undefined` for none. Turns on the
   * index of each user's sessions, and needs scripting and a prefix. A write that started before the
   * session changed its user is discarded.
   * @default none; only for discarding such writes, session.passport?.user
   */
  userId?: ((session: SessionData) => string | number | null | undefined) | undefined;

  /**
   * How many sessions a user may have at a time, at most a million; needs `userId`.
   * @default none
   */
  maxSessionsPerUser?: number | undefined;

  /**
   * What happens when a user gets one session more than `maxSessionsPerUser`. `"evict-oldest"` ends
   * the one that was not active for longest; `"reject"` refuses to store the new one with
   * ERR_TOO_MANY_SESSIONS, and has to ask Redis before each login.
   * @default "evict-oldest"
   */
  onLimit?: "evict-oldest" | "reject" | undefined;

  /**
   * A login must give the session a new id (`req.session.regenerate()`): a save that makes a stored
   * session of nobody a user's under the same id is refused with ERR_INVALID_SESSION. Somebody else
   * may know that id, who planted it. Needs `userId`. Without it there is the event `fixation` only.
   * @default false
   */
  requireNewId?: boolean | undefined;

  /**
   * Remembers for `keepFor` seconds why sessions were ended, for `whyGone()`: a logout, a
   * `regenerate`, `destroyAllOf` and `destroyOf`, a limit. An ending then sends one command more, in
   * the same trip. Needs scripting.
   * @default false
   */
  endings?: false | { keepFor: number } | undefined;

  /**
   * What diagnostics channels and metrics call this store. Not a secret.
   * @default the prefix
   */
  name?: string | undefined;
}

/** What is indexed by user, and how many sessions a user may have. */
export interface UserSettings {
  readonly userId: (session: Tree) => unknown;
  /** 0: as many as they like. */
  readonly limit: number;
  /** Whether a session that is too many is refused, instead of the oldest ended. */
  readonly rejects: boolean;
  /** Whether a login under the id that was nobody's is refused. */
  readonly needsNewId: boolean;
}

/** The options once they are checked, in the units that the store computes in. */
export interface Settings {
  readonly client: RedisClient;
  /** What channels call the store. */
  readonly name: string;
  readonly prefix: string;
  readonly ttl: number | ((session: SessionData, sid: string) => number);
  readonly rules: ExpiryRules;
  readonly conflict: "merge" | "overwrite" | ConflictResolver;
  readonly serializer: Serializer;
  /** The keys that the store begins with. */
  readonly keyring: Keyring;
  /** The keys that the function `encryption` gives now. */
  readonly loadKeys: () => Keyring;
  readonly disableTTL: boolean;
  readonly disableTouch: boolean;
  readonly scanCount: number;
  readonly timeout: number;
  readonly whenDown: "error" | "bypass";
  /** How many sessions are kept in memory; 0 for none. */
  readonly cached: number;
  readonly userOf: (session: Tree) => unknown;
  /** For how long it is remembered why a session was ended, in ms; 0: not at all. */
  readonly endings: number;
  /** `undefined`: sessions are not indexed by user. */
  readonly users: UserSettings | undefined;
}

/** The names of all options. */
export const OPTION_NAMES: ReadonlySet<string> = new Set<keyof RedisStoreOptions>([
  "client",
  "prefix",
  "ttl",
  "rolling",
  "touchAfter",
  "absoluteTtl",
  "conflict",
  "serializer",
  "disableTTL",
  "disableTouch",
  "scanCount",
  "timeout",
  "whenDown",
  "cache",
  "userId",
  "maxSessionsPerUser",
  "onLimit",
  "requireNewId",
  "endings",
  "name",
  "encryption",
]);

/** What connect-redis 1 to 6 took instead of a client, or beside it. */
const OF_LEGACY: ReadonlySet<string> = new Set([
  "host",
  "port",
  "socket",
  "url",
  "path",
  "pass",
  "password",
  "auth_pass",
  "db",
  "tls",
  "unref",
  "logErrors",
]);

function legacyHint(name: string): string | undefined {
  if (!OF_LEGACY.has(name)) return undefined;
  return name === "logErrors"
    ? 'listen to the "error" of your client; redis-session-store/legacy takes it'
    : "make the client with it; redis-session-store/legacy takes it";
}

/**
 * Checks the options and fills in the defaults; `null` and `undefined` mean the default.
 *
 * @throws ERR_INVALID_OPTION with everything that is wrong
 */
export function resolveOptions(options: RedisStoreOptions): Settings {
  if (typeof options !== "object" || options === null) {
    const message = `new RedisStore() takes an object of options, got ${shown(options)}: new RedisStore({ client })`;
    throw new StoreError("ERR_INVALID_OPTION", message);
  }
  if (isClient(options)) {
    const message =
      "new RedisStore() takes an object of options, got the client itself: new RedisStore({ client })";
    throw new StoreError("ERR_INVALID_OPTION", message);
  }
  const checks = new Checks();
  checks.of(() => {
    const wrong = unknownNames(options, OPTION_NAMES, "the options", legacyHint);
    if (wrong !== undefined) throw new StoreError("ERR_INVALID_OPTION", wrong);
  });
  const prefix = checks.of(() => text("prefix", options.prefix ?? "sess:"));
  const ttl = checks.of(() => ttlOf(options.ttl ?? 86_400));
  const absoluteTtl = options.absoluteTtl ?? undefined;
  const rules: ExpiryRules = {
    idle: typeof ttl === "function" ? (ttl as ExpiryRules["idle"]) : ttl * 1000,
    rolling: checks.of(() => flag("rolling", options.rolling ?? true)),
    absolute:
      absoluteTtl === undefined
        ? Number.POSITIVE_INFINITY
        : checks.of(() => seconds("absoluteTtl", absoluteTtl)) * 1000,
    touchAfter: checks.of(() => secondsOrZero("touchAfter", options.touchAfter ?? 60)) * 1000,
  };
  const disableTTL = checks.of(() => flag("disableTTL", options.disableTTL ?? false));
  const { encryption } = options;
  const settings: Settings = {
    client: options.client,
    name: checks.of(() => text("name", options.name ?? String(prefix))),
    prefix,
    keyring: checks.of(() => keyringOf(encryption ?? undefined, prefix ?? "")),
    loadKeys: () => reloaded(encryption, prefix),
    ttl,
    rules,
    conflict: checks.of(() => conflictOf(options.conflict ?? "merge")),
    serializer: checks.of(() => serializerOf(options.serializer ?? JSON)),
    disableTTL,
    disableTouch: checks.of(() => flag("disableTouch", options.disableTouch ?? false)),
    scanCount: checks.of(() => whole("scanCount", options.scanCount ?? 100, 1_000_000)),
    timeout: checks.of(() => whole("timeout", options.timeout ?? 2000, LONGEST_TIMER)),
    whenDown: checks.of(() => whenDownOf(options.whenDown ?? "error")),
    endings: checks.of(() => endingsOf(options.endings ?? false)),
    cached: checks.of(() => cacheOf(options.cache ?? false)),
    userOf: checks.of(() => userOf(options.userId ?? undefined)),
    users: checks.of(() => usersOf(options)),
  };
  checks.of(() => assertClient(options.client));
  checks.of(() => {
    if (disableTTL !== true || !hasDeadline(rules)) return;
    const other = rules.rolling ? "absoluteTtl" : "rolling: false";
    const message = `disableTTL and ${other} exclude each other: leave out one of them`;
    throw new StoreError("ERR_INVALID_OPTION", message);
  });
  checks.end();
  warnOfLongLives(ttl, absoluteTtl);
  return settings;
}

/** Browsers keep no cookie for longer. Source: RFC 6265bis, section 5.5. */
const LONGEST_COOKIE_DAYS = 400;

/** A life beyond that is meant by some apps; most have taken milliseconds for seconds. */
function warnOfLongLives(ttl: Settings["ttl"], absoluteTtl: number | undefined): void {
  const days = (seconds: number) => Math.round(seconds / 86_400);
  const long = Object.entries({ ttl, absoluteTtl }).flatMap(([name, value]) =>
    typeof value === "number" && days(value) > LONGEST_COOKIE_DAYS
      ? [`${name}: ${value} is ${days(value)} days`]
      : [],
  );
  if (long.length === 0) return;
  process.emitWarning(
    `${long.join(", ")}; no browser keeps a cookie for more than ${LONGEST_COOKIE_DAYS}. These options are in seconds, not in milliseconds`,
    { type: "RedisSessionStoreWarning", code: "LONG_LIFE" },
  );
}

/** Beyond this a timer of Node fires at once. */
const LONGEST_TIMER = 2_147_483_647;

function reloaded(encryption: RedisStoreOptions["encryption"], prefix: string): Keyring {
  if (typeof encryption === "function") return keyringOf(encryption, prefix);
  const message = 'reloadKeys() asks the option "encryption" again, which has to be a function';
  throw new StoreError("ERR_INVALID_OPTION", message);
}

function ttlOf(value: Settings["ttl"]): Settings["ttl"] {
  return typeof value === "function" ? value : seconds("ttl", value, ", or a function");
}

function userOf(userId: RedisStoreOptions["userId"]): Settings["userOf"] {
  if (userId === undefined) {
    return ({ passport }) => (passport as { user?: unknown } | null | undefined)?.user;
  }
  if (typeof userId !== "function") throw invalid("userId", "a function", userId);
  return (session) => {
    const user = userId(session as unknown as SessionData);
    // A number counts as its decimal text.
    return typeof user === "number" ? String(user) : user;
  };
}

function whenDownOf(value: Settings["whenDown"]): Settings["whenDown"] {
  if (value === "error" || value === "bypass") return value;
  throw invalid("whenDown", '"error" or "bypass"', value);
}

function usersOf(options: RedisStoreOptions): UserSettings | undefined {
  const { userId, prefix, maxSessionsPerUser, onLimit } = options;
  const needsNewId = flag("requireNewId", options.requireNewId ?? false);
  const needs = (name: string, other: string) =>
    new StoreError("ERR_INVALID_OPTION", `the option "${name}" needs the option "${other}"`);
  const hasLimit = maxSessionsPerUser !== undefined && maxSessionsPerUser !== null;
  const limit = hasLimit ? whole("maxSessionsPerUser", maxSessionsPerUser, 1_000_000) : 0;
  const rule = onLimit ?? "evict-oldest";
  if (rule !== "evict-oldest" && rule !== "reject") {
    throw invalid("onLimit", '"evict-oldest" or "reject"', rule);
  }
  if (!hasLimit && (onLimit ?? undefined) !== undefined) {
    throw needs("onLimit", "maxSessionsPerUser");
  }
  if ((userId ?? undefined) === undefined) {
    if (hasLimit) throw needs("maxSessionsPerUser", "userId");
    if (needsNewId) throw needs("requireNewId", "userId");
    return undefined;
  }
  if (prefix === "") {
    const message =
      'the option "userId" needs a prefix that is not empty: with the empty one every key counts as a session, and the index has no place beside them';
    throw new StoreError("ERR_INVALID_OPTION", message);
  }
  return {
    userId: userId as unknown as UserSettings["userId"],
    limit,
    rejects: rule === "reject",
    needsNewId,
  };
}

function cacheOf(value: NonNullable<RedisStoreOptions["cache"]>): number {
  if (value === false) return 0;
  if (typeof value !== "object") throw invalid("cache", "false or { max: number }", value);
  return whole("cache.max", value.max, 10_000_000);
}

function endingsOf(value: NonNullable<RedisStoreOptions["endings"]>): number {
  if (value === false) return 0;
  if (typeof value !== "object") throw invalid("endings", "false or { keepFor: seconds }", value);
  return Math.ceil(seconds("endings.keepFor", value.keepFor) * 1000);
}

function conflictOf(value: Settings["conflict"]): Settings["conflict"] {
  if (value === "merge" || value === "overwrite" || typeof value === "function") return value;
  throw invalid("conflict", '"merge", "overwrite" or a function', value);
}

function serializerOf(value: Serializer): Serializer {
  const { parse, stringify, binary } = value as Partial<Serializer>;
  if (typeof parse !== "function" || typeof stringify !== "function") {
    throw invalid("serializer", "an object with the functions parse and stringify", value);
  }
  if (binary !== undefined) flag("serializer.binary", binary);
  return value;
}
