import type { SessionData } from "express-session";
import type { RedisClient } from "./client/detect.js";
import { StoreError } from "./errors.js";
import type { ExpiryRules } from "./expiry.js";
import type { Tree } from "./merge.js";
import type { Serializer } from "./serializer.js";

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
   * Names the user of a session, or `undefined` for none. A write that started before the session
   * changed its user is discarded.
   * @default session.passport?.user
   */
  userId?: ((session: SessionData) => string | undefined) | undefined;
}

/** The options once they are checked, in the units that the store computes in. */
export interface Settings {
  readonly client: RedisClient;
  readonly prefix: string;
  readonly ttl: number | ((session: SessionData, sid: string) => number);
  readonly rules: ExpiryRules;
  readonly conflict: "merge" | "overwrite" | ConflictResolver;
  readonly serializer: Serializer;
  readonly disableTTL: boolean;
  readonly disableTouch: boolean;
  readonly scanCount: number;
  readonly timeout: number;
  readonly userOf: (session: Tree) => unknown;
}

const NAMES: ReadonlySet<string> = new Set<keyof RedisStoreOptions>([
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
  "userId",
]);

/** Checks the options and fills in the defaults; `null` and `undefined` mean the default. */
export function resolveOptions(options: RedisStoreOptions): Settings {
  if (typeof options !== "object" || options === null) {
    throw new StoreError(
      "ERR_INVALID_OPTION",
      `new RedisStore() takes an object of options, got ${shown(options)}`,
    );
  }
  for (const name of Object.keys(options)) {
    if (!NAMES.has(name)) {
      throw new StoreError(
        "ERR_INVALID_OPTION",
        `unknown option "${name}"; the options are ${[...NAMES].join(", ")}`,
      );
    }
  }
  const ttl = options.ttl ?? 86_400;
  const rolling = flag("rolling", options.rolling, true);
  const disableTTL = flag("disableTTL", options.disableTTL, false);
  const absoluteTtl = options.absoluteTtl ?? undefined;
  if (disableTTL && (!rolling || absoluteTtl !== undefined)) {
    const other = rolling ? "absoluteTtl" : "rolling: false";
    throw new StoreError(
      "ERR_INVALID_OPTION",
      `disableTTL and ${other} exclude each other: leave out one of them`,
    );
  }
  return {
    client: options.client,
    prefix: text("prefix", options.prefix, "sess:"),
    ttl: typeof ttl === "function" ? ttl : seconds("ttl", ttl),
    rules: {
      idle:
        typeof ttl === "function"
          ? (ttl as ExpiryRules["idle"] & object)
          : seconds("ttl", ttl) * 1000,
      rolling,
      absolute:
        absoluteTtl === undefined
          ? Number.POSITIVE_INFINITY
          : seconds("absoluteTtl", absoluteTtl) * 1000,
      touchAfter: atLeastZero("touchAfter", options.touchAfter, 60) * 1000,
    },
    conflict: conflictOf(options.conflict ?? "merge"),
    serializer: serializerOf(options.serializer ?? JSON),
    disableTTL,
    disableTouch: flag("disableTouch", options.disableTouch, false),
    scanCount: whole("scanCount", options.scanCount, 100, 1_000_000),
    // Beyond this a timer of Node fires at once.
    timeout: whole("timeout", options.timeout, 2000, 2_147_483_647),
    userOf: userOf(options.userId),
  };
}

function userOf(userId: RedisStoreOptions["userId"]): (session: Tree) => unknown {
  if (userId === undefined || userId === null) {
    return ({ passport }) => (passport as { user?: unknown } | null | undefined)?.user;
  }
  if (typeof userId !== "function") throw wrong("userId", "a function", userId);
  return userId as unknown as (session: Tree) => unknown;
}

function conflictOf(value: Settings["conflict"]): Settings["conflict"] {
  if (value === "merge" || value === "overwrite" || typeof value === "function") return value;
  throw wrong("conflict", '"merge", "overwrite" or a function', value);
}

function serializerOf(value: Serializer): Serializer {
  const { parse, stringify, binary } = value as Partial<Serializer>;
  if (typeof parse !== "function" || typeof stringify !== "function") {
    throw wrong("serializer", "an object with the functions parse and stringify", value);
  }
  if (binary !== undefined && typeof binary !== "boolean")
    throw wrong("serializer.binary", "true or false", binary);
  return value;
}

function seconds(name: string, value: unknown): number {
  if (typeof value === "number" && value > 0 && value <= LONGEST_S) return value;
  const kinds =
    name === "ttl"
      ? "a number of seconds above 0, or a function that gives it"
      : "a number of seconds above 0";
  throw wrong(name, `${kinds} (at most ${LONGEST_S}; see disableTTL)`, value);
}

/** A thousand years: sums of it with the time of day are exact, and Redis accepts them. */
const LONGEST_S = 31_556_952_000;

function atLeastZero(name: string, value: number | null | undefined, standard: number): number {
  const given = value ?? standard;
  if (typeof given === "number" && given >= 0 && given <= LONGEST_S) return given;
  throw wrong(name, "a number of seconds, 0 or more", value);
}

function whole(
  name: string,
  value: number | null | undefined,
  standard: number,
  most: number,
): number {
  const given = value ?? standard;
  if (Number.isInteger(given) && given >= 1 && given <= most) return given;
  throw wrong(name, `a whole number from 1 to ${most}`, value);
}

function flag(name: string, value: boolean | null | undefined, standard: boolean): boolean {
  const given = value ?? standard;
  if (typeof given === "boolean") return given;
  throw wrong(name, "true or false", value);
}

function text(name: string, value: string | null | undefined, standard: string): string {
  const given = value ?? standard;
  if (typeof given === "string") return given;
  throw wrong(name, "a string", value);
}

function wrong(name: string, wanted: string, value: unknown): StoreError {
  return new StoreError(
    "ERR_INVALID_OPTION",
    `the option "${name}" must be ${wanted}, got ${shown(value)}`,
  );
}

function shown(value: unknown): string {
  if (typeof value === "string")
    return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (typeof value === "number" || typeof value === "boolean" || value === null)
    return String(value);
  return typeof value === "object"
    ? Array.isArray(value)
      ? "an array"
      : "an object"
    : typeof value;
}
