// The factory form of connect-redis 1 to 6.
import type { SessionData } from "express-session";
import { answer, type Callback, StoreError, shown } from "../base/index.js";
import type { RedisClient } from "../client/index.js";
import { OPTION_NAMES, type RedisStoreOptions } from "../options.js";
import type { SaveResult, TouchResult } from "../save/index.js";
import { RedisStore } from "../store.js";
import { type CallbackClient, withPromises } from "./callback-client.js";
import {
  type ConnectionOptions,
  closeOwnClient,
  createOwnClient,
  type OwnClient,
} from "./own-client.js";
import { type LegacyTtl, secondsOf, ttlOption } from "./ttl.js";

/**
 * The options of connect-redis 1 to 6, and those of `RedisStore`.
 *
 * Without `client` the store makes one of the package redis, and hands to it every option that it
 * does not know itself. With `client`, what only a new client would need is ignored.
 */
export interface LegacyOptions
  extends Omit<RedisStoreOptions, "client" | "ttl" | "scanCount">,
    ConnectionOptions {
  /** Any client of `RedisStore`; also one of redis 2 or 3, of redis 4 in legacyMode, or of ioredis 4. */
  client?: RedisClient | CallbackClient | undefined;
  /** Seconds, as a number or as text; or a function that gives them for every session. */
  ttl?: LegacyTtl<LegacyStore> | null | undefined;
  /** Reports errors of the client: `true` on the console, or to a function. */
  logErrors?: boolean | ((error: Error) => void) | undefined;
  scanCount?: number | string | undefined;
  /** Whatever else the client takes. */
  [option: string]: unknown;
}

/** The methods that answer as connect-redis 1 to 6 did, and the fields that hold what they held. */
type Replaced = "client" | "ttl" | "get" | "set" | "touch" | "destroy" | "close";

/** A store as connect-redis 1 to 6 had it, with everything that `RedisStore` has besides. */
export interface LegacyStore extends Omit<RedisStore, Replaced> {
  /** The client as it was passed, or the one that the store made. */
  readonly client: RedisClient | CallbackClient;
  /** As in the options; it may be changed at any time. */
  ttl: LegacyTtl<LegacyStore> | undefined;
  /** The session, or `undefined` where there is none. */
  get(sid: string): Promise<SessionData | undefined>;
  get(sid: string, callback: Callback<SessionData | undefined>): void;
  /**
   * As in `RedisStore`. A session that is over is deleted if the client was given, and the answer
   * is how many there were; if the store made the client, it is an error and nothing is changed.
   */
  set(sid: string, session: SessionData): Promise<SaveResult | number>;
  set(sid: string, session: SessionData, callback?: Callback<SaveResult | number>): void;
  /** `"OK"` or `"EXPIRED"` if the client was given, 1 or 0 if the store made it. */
  touch(sid: string, session: SessionData): Promise<TouchResult | number>;
  touch(sid: string, session: SessionData, callback?: Callback<TouchResult | number>): void;
  /** Removes a session, or each of a list: how many were there. */
  destroy(sid: string): Promise<number>;
  destroy(sid: string, callback?: Callback<number>): void;
  destroy(sids: string[]): Promise<number[]>;
  destroy(sids: string[], callback?: Callback<number[]>): void;
  /** Ends what the store itself started, the client too if the store made it. */
  close(): Promise<void>;
  close(callback?: Callback<void>): void;
}

/** The class that the factory gives. */
export type LegacyStoreClass = new (options?: LegacyOptions) => LegacyStore;

/** What `require("connect-redis")` was in versions 1 to 6: takes express-session, gives the class. */
export type LegacyFactory = (session: LegacySession) => LegacyStoreClass;

/** express-session; or, as version 1 took it, what has it as a property. */
export type LegacySession =
  | { readonly Store: unknown }
  | { readonly session: { readonly Store: unknown } };

/** `RedisStore` for a subclass whose methods answer otherwise. */
type Answers = Omit<RedisStore, Replaced> & {
  client: unknown;
  ttl: unknown;
  get(sid: string, callback?: Callback<SessionData | null>): unknown;
  set(sid: string, session: SessionData): unknown;
  touch(sid: string, session: SessionData, callback?: Callback<TouchResult>): unknown;
  destroy(sid: string): unknown;
  close(): unknown;
};
const Base = RedisStore as unknown as new (options: RedisStoreOptions) => Answers;

/**
 * Makes the factory.
 *
 * @param load - `require`: finds the package redis from where this one is installed
 */
export function legacyWith(load: (name: string) => unknown): LegacyFactory {
  return function legacy(session) {
    assertSession(session);
    return class RedisStore extends LegacyRedisStore {
      constructor(options: LegacyOptions = {}) {
        super(load, options);
      }
    };
  };
}

class LegacyRedisStore extends Base implements LegacyStore {
  declare readonly client: RedisClient | CallbackClient;
  declare ttl: LegacyTtl<LegacyStore> | undefined;
  readonly #own: OwnClient | undefined;

  constructor(load: (name: string) => unknown, options: LegacyOptions) {
    const { forStore, forClient } = divided(options);
    const ttl = ttlOption<LegacyStore>(options.ttl);
    const own = options.client ? undefined : createOwnClient(load, forClient);
    const client = own ?? (options.client as RedisClient | CallbackClient);
    const binary = (options.serializer as { binary?: unknown } | undefined)?.binary === true;
    super({
      ...forStore,
      client: withPromises(client, binary) as RedisClient,
      scanCount: Number(options.scanCount) || 100,
      disableTTL: Boolean(options.disableTTL),
      disableTouch: Boolean(options.disableTouch),
      // Old servers on the same keys renew with each request, and so does this one.
      touchAfter: options.touchAfter ?? 0,
      ttl: (session, sid) => secondsOf(this as LegacyRedisStore, own !== undefined, session, sid),
    });
    this.client = client;
    this.ttl = ttl;
    this.#own = own;
    this.#listen(client, options.logErrors);
    own?.connect().catch(() => {
      // The client has emitted what is wrong.
    });
  }

  override get(sid: string): Promise<SessionData | undefined>;
  override get(sid: string, callback: Callback<SessionData | undefined>): void;
  override get(sid: string, callback?: Callback<SessionData | undefined>) {
    if (typeof callback !== "function") {
      return (super.get(sid) as Promise<SessionData | null>).then((found) => found ?? undefined);
    }
    return super.get(sid, (error, found) => callback(error, found ?? undefined));
  }

  override set(sid: string, session: SessionData): Promise<SaveResult | number>;
  override set(sid: string, session: SessionData, callback?: Callback<SaveResult | number>): void;
  override set(sid: string, session: SessionData, callback?: Callback<SaveResult | number>) {
    return answer(this.#set(sid, session), callback);
  }

  override touch(sid: string, session: SessionData): Promise<TouchResult | number>;
  override touch(
    sid: string,
    session: SessionData,
    callback?: Callback<TouchResult | number>,
  ): void;
  override touch(sid: string, session: SessionData, callback?: Callback<TouchResult | number>) {
    const told = (result: TouchResult) => (this.#own ? Number(result === "OK") : result);
    if (typeof callback !== "function") {
      return (super.touch(sid, session) as Promise<TouchResult>).then(told);
    }
    // With nothing to send it calls back at once; `answer` would not.
    return super.touch(sid, session, (error, result) =>
      result === undefined ? callback(error) : callback(error, told(result)),
    );
  }

  override destroy(sid: string): Promise<number>;
  override destroy(sid: string, callback?: Callback<number>): void;
  override destroy(sids: string[]): Promise<number[]>;
  override destroy(sids: string[], callback?: Callback<number[]>): void;
  override destroy(
    sids: string | string[],
    ...given: [callback?: Callback<number> | Callback<number[]>]
  ): unknown {
    const removed: Promise<number | number[]> = Array.isArray(sids)
      ? Promise.all(sids.map((sid) => this.#destroy(sid)))
      : this.#destroy(sids);
    // As in the store itself: express-session may pass on a callback that it was not given.
    if (given.length > 0) removed.catch(() => {});
    return answer(removed, given[0] as Callback<number | number[]> | undefined);
  }

  override close(): Promise<void>;
  override close(callback?: Callback<void>): void;
  override close(callback?: Callback<void>) {
    return answer(this.#close(), callback);
  }

  async #set(sid: string, session: SessionData): Promise<SaveResult | number> {
    if (
      this.disableTTL ||
      typeof session !== "object" ||
      session === null ||
      !this.#isOver(sid, session)
    ) {
      return super.set(sid, session) as Promise<SaveResult>;
    }
    if (this.#own === undefined) return this.#destroy(sid);
    throw new StoreError(
      "ERR_INVALID_SESSION",
      "the session has less than a second to live, which connect-redis 1 to 3 refuse; nothing was stored",
    );
  }

  #isOver(sid: string, session: SessionData): boolean {
    // A function is the store's to call, once for each save.
    if (typeof this.ttl === "function") return false;
    return secondsOf<LegacyStore>(this, this.#own !== undefined, session, sid) <= 0;
  }

  async #destroy(sid: string): Promise<number> {
    return super.destroy(sid) as Promise<number>;
  }

  async #close(): Promise<void> {
    await super.close();
    if (this.#own !== undefined) await closeOwnClient(this.#own);
  }

  #listen(client: object, logErrors: LegacyOptions["logErrors"]): void {
    const own = this.#own;
    const log = typeof logErrors === "function" ? logErrors : logErrors ? logToConsole : undefined;
    if (own === undefined && log === undefined) return;
    const emitter = client as { on(event: string, listener: (error: Error) => void): unknown };
    // What the app throws in its listener would end the client's attempts to connect again.
    const tell = (event: string, error?: Error) => process.nextTick(() => this.emit(event, error));
    emitter.on("error", (error) => {
      if (log !== undefined) process.nextTick(log, error);
      // While the connection is good nothing would announce the end of the trouble.
      if (own?.isReady === false) tell("disconnect", error);
    });
    // Not at "connect": the client is not logged in then, and no command goes out.
    if (own !== undefined) emitter.on("ready", () => tell("connect"));
  }
}

const ONLY_LEGACY = new Set(["client", "ttl", "scanCount", "logErrors"]);

/** What of the options is the store's, and what a new client's. */
function divided(options: LegacyOptions) {
  const forStore: Record<string, unknown> = {};
  const forClient: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(options)) {
    if (ONLY_LEGACY.has(name)) continue;
    if (OPTION_NAMES.has(name)) forStore[name] = value;
    // The connection had a name before the store had one.
    if (!OPTION_NAMES.has(name) || name === "name") forClient[name] = value;
  }
  return { forStore: forStore as Partial<RedisStoreOptions>, forClient };
}

function logToConsole(error: Error): void {
  console.error(`Warning: redis-session-store reported a client error: ${error}`);
}

function assertSession(session: unknown): void {
  const { Store, session: inner } = (session ?? {}) as {
    Store?: unknown;
    session?: { Store?: unknown };
  };
  if (typeof Store === "function" || typeof inner?.Store === "function") return;
  throw new StoreError(
    "ERR_INVALID_OPTION",
    `redis-session-store/legacy takes express-session: require("redis-session-store/legacy")(require("express-session")); got ${shown(session)}`,
  );
}
