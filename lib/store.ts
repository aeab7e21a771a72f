// The public class: its methods, their callbacks and events. It wires the wings and holds no rule.
import { type SessionData, Store } from "express-session";
import {
  assertHandle,
  assertSession,
  type DestroyAllOptions,
  type DestroyOptions,
  handleAsked,
  needsEndings,
  type PageOptions,
  pageAsked,
  revocation,
  revocationOfAll,
} from "./arguments.js";
import {
  answer,
  answerTogether,
  type Callback,
  isHeard,
  OPERATIONS,
  type Report,
  StoreError,
  type Telling,
} from "./base/index.js";
import { createPort, type Port, type RedisClient } from "./client/index.js";
import { type Ending, Endings, type WhyGone } from "./endings/index.js";
import { type SessionEvents, Watching } from "./events/index.js";
import { type RedisStoreOptions, resolveOptions, type Settings } from "./options.js";
import {
  type CachingPort,
  cacheOn,
  type ListedSession,
  Listing,
  Reader,
  type SessionPage,
} from "./read/index.js";
import { type SaveResult, Saver, Toucher, type TouchResult } from "./save/index.js";
import {
  assertSid,
  handleOf,
  hasDeadline,
  hiddenKeys,
  LoadedSessions,
  Records,
  Renewals,
  Rows,
  type Serializer,
  type SessionEntry,
  type TextSerializer,
  type Tree,
  type UserSessionEntry,
} from "./session/index.js";
import { type Listening, StoreEvents } from "./store-events.js";
import { UserIndex, userNamed } from "./users/index.js";

/** Its events have arguments of their own types; at run time it is the emitter that express-session gives. */
// biome-ignore lint/correctness/noUnusedVariables: as the class has it
export interface RedisStore<Client extends RedisClient = RedisClient> {
  on: Listening<this>;
  once: Listening<this>;
  off: Listening<this>;
  addListener: Listening<this>;
  removeListener: Listening<this>;
}

const { get: GET, set: SET, touch: TOUCH, destroy: DESTROY } = OPERATIONS;

/**
 * An express-session store on Redis.
 *
 * Every method takes an optional Node callback as its last argument. With one it returns
 * `undefined` and calls back exactly once; without one it returns a promise. Errors are
 * {@link StoreError}s.
 *
 * Events: `merged` (sid, kept, overwritten), `discarded` (sid, reason), `corrupt` (sid, error), each
 * with the sid shortened; `fixation` (handle); `down` and `up`.
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: only types of methods that are inherited
export class RedisStore<Client extends RedisClient = RedisClient> extends Store {
  /** The client as it was passed. */
  readonly client: Client;
  readonly prefix: string;
  /** In seconds, as in the options. */
  readonly ttl: number | ((session: SessionData, sid: string) => number);
  readonly scanCount: number;
  readonly serializer: Serializer;
  readonly disableTTL: boolean;
  readonly disableTouch: boolean;

  readonly #settings: Settings;
  readonly #telling: Telling;
  readonly #port: Port;
  readonly #cache: CachingPort | undefined;
  readonly #records: Records;
  readonly #renewals = new Renewals();
  readonly #loaded = new LoadedSessions();
  readonly #reader: Reader;
  readonly #saver: Saver;
  readonly #toucher: Toucher;
  readonly #listing: Listing;
  readonly #index: UserIndex | undefined;
  /** `undefined` where it is not remembered why sessions were ended. */
  readonly #endings: Endings | undefined;
  /** The session that express-session is about to end, to go on under another id. */
  #regenerating: string | undefined;
  readonly #watching: Watching;
  readonly #dated: boolean;

  /** @throws ERR_INVALID_OPTION for an option that is missing, unknown or out of range */
  // Two forms of one: only so does TypeScript know what an inline `parse` gets.
  constructor(options: RedisStoreOptions<Client> & { serializer?: TextSerializer | undefined });
  constructor(options: RedisStoreOptions<Client>);
  constructor(options: RedisStoreOptions<Client>) {
    super();
    const settings = resolveOptions(options);
    this.#settings = settings;
    this.client = options.client;
    this.prefix = settings.prefix;
    this.ttl = settings.ttl;
    this.scanCount = settings.scanCount;
    this.serializer = settings.serializer;
    this.disableTTL = settings.disableTTL;
    this.disableTouch = settings.disableTouch;
    this.#dated = hasDeadline(settings.rules);
    const { name, prefix, serializer, timeout, whenDown } = settings;
    const events = new StoreEvents(this, { name, prefix, bypasses: whenDown === "bypass" });
    const { telling } = events;
    this.#telling = telling;
    const port = createPort(options.client, serializer.binary === true, timeout, events.health);
    this.#port = port;
    this.#cache = cacheOn(port, settings);
    const records = new Records(serializer, timeout, settings.keyring);
    this.#records = records;
    const endings = new Endings({ port, settings, telling });
    const rows = new Rows({
      prefix,
      loaded: this.#loaded,
      dated: this.#dated,
      userOf: (session) => this.#index?.storedUserOf(session),
    });
    const base = {
      port: this.#cache ?? port,
      settings,
      records,
      renewals: this.#renewals,
      endings,
      rows,
    };
    this.#endings = settings.endings > 0 ? endings : undefined;
    this.#index = settings.users && new UserIndex(base, settings.users);
    const context = { ...base, index: this.#index };
    this.#reader = new Reader({
      ...context,
      cache: this.#cache,
      loaded: this.#loaded,
      onRefused: events.discarded,
    });
    this.#saver = new Saver({
      ...context,
      inflate: (session, sid) => this.#inflate(session, sid),
      onMerged: events.merged,
      onDiscarded: events.discarded,
      onFixation: events.fixation,
    });
    this.#toucher = new Toucher({ ...context, saver: this.#saver });
    this.#listing = new Listing(context.port, settings, records, rows, events.corrupt);
    this.#watching = new Watching(settings);
  }

  /**
   * The session, or `null` where there is none. What the cache has is handed over at the end of the
   * turn of the event loop, with all that was asked for in it.
   *
   * @throws ERR_CORRUPT_SESSION when the value in Redis is not a session
   */
  override get(sid: string): Promise<SessionData | null>;
  override get(sid: string, callback: Callback<SessionData | null>): void;
  override get(sid: string, callback?: Callback<SessionData | null>) {
    const got = isHeard(GET)
      ? this.#telling.operation(GET, sid, (report) => this.#get(sid, report))
      : this.#get(sid);
    return got instanceof Promise ? answer(got, callback) : answerTogether(got, callback);
  }

  /**
   * Stores a session. One that came from `get` is stored only where Redis still holds it, together
   * with what other requests have changed meanwhile; any other one as it is.
   *
   * @throws ERR_INVALID_SESSION, ERR_CONFLICT
   */
  override set(sid: string, session: SessionData): Promise<SaveResult>;
  override set(sid: string, session: SessionData, callback?: Callback<SaveResult>): void;
  override set(sid: string, session: SessionData, callback?: Callback<SaveResult>) {
    const saved = isHeard(SET)
      ? this.#telling.operation(SET, sid, (report) => this.#set(sid, session, report))
      : this.#set(sid, session);
    return answer(saved, callback);
  }

  /**
   * Renews the expiry of a session that was used. Stores its cookie too if that has other settings
   * than when it was loaded. With nothing to do it calls back before it returns.
   */
  override touch(sid: string, session: SessionData): Promise<TouchResult>;
  override touch(sid: string, session: SessionData, callback?: Callback<TouchResult>): void;
  override touch(sid: string, session: SessionData, callback?: Callback<TouchResult>) {
    const touched = isHeard(TOUCH)
      ? this.#telling.operation(TOUCH, sid, (report) => this.#touch(sid, session, report))
      : this.#touch(sid, session);
    return answer(touched, callback);
  }

  /**
   * Removes a session; how many were there: 1 or 0. It is remembered as a `logout`, with options as
   * `revoked`: it was not the user who ended it.
   */
  override destroy(sid: string): Promise<number>;
  override destroy(sid: string, callback?: Callback<number>): void;
  override destroy(sid: string, options: DestroyOptions): Promise<number>;
  override destroy(sid: string, options: DestroyOptions, callback: Callback<number>): void;
  override destroy(
    sid: string,
    ...given: [(Callback<number> | DestroyOptions)?, Callback<number>?]
  ) {
    const [first] = given;
    // koa-session passes an object of its own, with its context: no options, a logout like others.
    const isRevoked = typeof first === "object" && first !== null && !("ctx" in first);
    const reason = this.#regenerating === sid ? "regenerated" : "logout";
    const why = isRevoked ? first : reason;
    const removed = isHeard(DESTROY)
      ? this.#telling.operation(DESTROY, sid, (report) => this.#destroy(sid, why, report))
      : this.#destroy(sid, why);
    // `req.session.destroy()` passes on the callback that it was not given, and waits for nothing:
    // during an outage its rejection would end the process.
    if (given.length > 0 && !isRevoked) Promise.resolve(removed).catch(() => {});
    return answer(removed, isRevoked ? given[1] : (first as Callback<number> | undefined));
  }

  /**
   * What `req.session.regenerate()` calls: ends the session and gives the request a new one. The
   * ending is remembered as `regenerated`, where `destroy` is a `logout`.
   */
  override regenerate(
    req: Parameters<Store["regenerate"]>[0],
    callback: (error?: unknown) => void,
  ): void {
    // express-session ends it by `destroy`, at once, and calls back later.
    this.#regenerating = req.sessionID;
    try {
      super.regenerate(req, callback);
    } finally {
      this.#regenerating = undefined;
    }
  }

  /**
   * All sessions as they are stored, in memory at once, each with its session id as `id`; one that
   * stores an `id` of its own keeps that. For many sessions use {@link RedisStore.sessions}.
   */
  override all(): Promise<ListedSession[]>;
  override all(callback: Callback<ListedSession[]>): void;
  override all(callback?: Callback<ListedSession[]>) {
    return answer(this.#listing.all(), callback);
  }

  /** How many sessions there are; like everything else here, of this prefix only. */
  override length(): Promise<number>;
  override length(callback: Callback<number>): void;
  override length(callback?: Callback<number>) {
    return answer(
      this.#listing.ids().then((ids) => ids.size),
      callback,
    );
  }

  /** The ids of all sessions. */
  ids(): Promise<string[]>;
  ids(callback: Callback<string[]>): void;
  ids(callback?: Callback<string[]>) {
    return answer(
      this.#listing.ids().then((ids) => [...ids]),
      callback,
    );
  }

  /** Removes all sessions; how many there were. */
  override clear(): Promise<number>;
  override clear(callback?: Callback<number>): void;
  override clear(callback?: Callback<number>) {
    this.#renewals.clear();
    return answer(this.#clear(), callback);
  }

  /**
   * The sessions of a user, the one that was last active first (to within `touchAfter`). Only where
   * the option `userId` is set.
   */
  sessionsOf(userId: string | number): Promise<UserSessionEntry[]>;
  sessionsOf(userId: string | number, callback: Callback<UserSessionEntry[]>): void;
  sessionsOf(userId: string | number, callback?: Callback<UserSessionEntry[]>) {
    return answer(this.#sessionsOf(userId), callback);
  }

  /**
   * Ends the sessions of a user; how many there were. Only where the option `userId` is set.
   *
   * @param options - `except`: the id of a session that stays, or several
   */
  destroyAllOf(userId: string | number, options?: DestroyAllOptions): Promise<number>;
  destroyAllOf(userId: string | number, callback: Callback<number>): void;
  destroyAllOf(
    userId: string | number,
    options: DestroyAllOptions,
    callback: Callback<number>,
  ): void;
  destroyAllOf(
    userId: string | number,
    options: DestroyAllOptions | Callback<number> = {},
    callback?: Callback<number>,
  ) {
    return typeof options === "function"
      ? answer(this.#destroyAllOf(userId, {}), options)
      : answer(this.#destroyAllOf(userId, options), callback);
  }

  /**
   * Ends one session of a user: 1, or 0 where that user has no session of this handle; it never ends
   * a session of another user. Only where the option `userId` is set.
   *
   * @param handle - as {@link RedisStore.handleOf} and the listings give it
   */
  destroyOf(userId: string | number, handle: string, options?: DestroyOptions): Promise<number>;
  destroyOf(userId: string | number, handle: string, callback: Callback<number>): void;
  destroyOf(
    userId: string | number,
    handle: string,
    options: DestroyOptions,
    callback: Callback<number>,
  ): void;
  destroyOf(
    userId: string | number,
    handle: string,
    options: DestroyOptions | Callback<number> = {},
    callback?: Callback<number>,
  ) {
    return typeof options === "function"
      ? answer(this.#destroyOf(userId, handle, {}), options)
      : answer(this.#destroyOf(userId, handle, options), callback);
  }

  /**
   * Why a session is not there; `null` where there is one. Only where the option `endings` is set, and
   * for as long as that says. With a handle instead of the id it reads the note alone: `null` where
   * there is none.
   */
  whyGone(sid: string | { readonly handle: string }): Promise<WhyGone | null>;
  whyGone(sid: string | { readonly handle: string }, callback: Callback<WhyGone | null>): void;
  whyGone(sid: string | { readonly handle: string }, callback?: Callback<WhyGone | null>) {
    return answer(this.#whyGone(sid), callback);
  }

  /**
   * A name for a session in logs, pages and maps: the same for the same id and prefix, in each
   * process, and no credential.
   *
   * @throws ERR_INVALID_SID
   */
  handleOf(sid: string): string {
    assertSid(sid);
    return handleOf(this.prefix, sid);
  }

  /**
   * How long Redis took to answer, in ms; for a health check. In a cluster every primary has to
   * answer, and the slowest one counts. Rejects within `timeout`, and at once while Redis is down.
   *
   * @throws ERR_TIMEOUT, ERR_UNAVAILABLE
   */
  ping(): Promise<number>;
  ping(callback: Callback<number>): void;
  ping(callback?: Callback<number>) {
    return answer(this.#ping(), callback);
  }

  /**
   * Tells what happens to sessions, whichever process or program does it: `created`, `updated`,
   * `touched`, `destroyed`, `expired`, each with the whole sid and the handle. Listens over
   * connections of its own,
   * and turns on the keyspace notifications of the server if it may.
   *
   * @throws ERR_NO_PERMISSION with the setting that an administrator has to make, ERR_INVALID_OPTION
   *   for a client that cannot listen, ERR_CLOSED after `close()`
   */
  watch(): Promise<SessionEvents>;
  watch(callback: Callback<SessionEvents>): void;
  watch(callback?: Callback<SessionEvents>) {
    return answer(this.#watching.open(), callback);
  }

  /**
   * Goes through all sessions in bounded memory. A session may come twice while Redis resizes its
   * table, one that is stored meanwhile may come or not. A value that is no session is left out and
   * reported by the event `corrupt`.
   */
  sessions(): AsyncGenerator<SessionEntry, void, undefined> {
    return this.#listing.entries();
  }

  /**
   * A listing by pages: one bounded step through all sessions, which can be continued later and in
   * another process. A page may hold a few more than `limit`, fewer, or none before the last one. A
   * session may come twice, also because Redis was started anew or its replica took over; then that
   * server is listed from its beginning. While a cluster moves slots, a session may be left out.
   *
   * @param options - `cursor` of the page before, none for the first; `limit`: 1 to 1000, default 100
   * @throws ERR_INVALID_OPTION for a cursor that no page gave
   */
  page(options?: PageOptions): Promise<SessionPage>;
  page(callback: Callback<SessionPage>): void;
  page(options: PageOptions, callback: Callback<SessionPage>): void;
  page(options: PageOptions | Callback<SessionPage> = {}, callback?: Callback<SessionPage>) {
    return typeof options === "function"
      ? answer(this.#page({}), options)
      : answer(this.#page(options), callback);
  }

  /**
   * Asks the function that is the option `encryption` again: a new key needs no restart. What it
   * gives holds from now on, also for what the cache has opened.
   *
   * @throws ERR_INVALID_OPTION where the option is no function, where that throws or where what it
   *   gives is refused; the store goes on with the keys that it has
   */
  reloadKeys(): void {
    this.#records.use(this.#settings.loadKeys());
    this.#cache?.clear();
  }

  /**
   * Ends what the store itself started: the connections of the cache and of `watch()`, and the looks
   * at a server that is down. Not the client, which is yours. The store works on without its cache, and
   * finds a server up again when it is used; `watch()` fails with ERR_CLOSED.
   */
  close(): void {
    (this.#cache ?? this.#port).close?.();
    this.#watching.close();
  }

  /**
   * The Session object of a stored session, as express-session makes it. A stored session without a
   * cookie gets an empty one.
   */
  override createSession(req: Parameters<Store["createSession"]>[0], session: SessionData) {
    const stored = session as { cookie?: unknown };
    if (typeof stored.cookie !== "object" || stored.cookie === null)
      stored.cookie = { originalMaxAge: null };
    const known = this.#loaded.find(session, req.sessionID);
    const inflated = super.createSession(req, session);
    if (known !== undefined) {
      const hidden = hiddenKeys(session as unknown as Tree, inflated);
      this.#loaded.addInflated(inflated, known, hidden, req);
    }
    return inflated;
  }

  #get(sid: string, report?: Report): SessionData | null | Promise<SessionData | null> {
    try {
      const cached = this.#reader.cached(sid, report);
      if (cached !== undefined) return cached;
      assertSid(sid);
      return this.#reader.get(sid, report);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #set(sid: string, session: SessionData, report?: Report): Promise<SaveResult> {
    try {
      assertSid(sid);
      assertSession(session);
      const loaded = this.#loaded;
      const known = loaded.find(session, sid);
      if (known !== undefined) return this.#saver.save(known, session, report);
      const listed = loaded.findListed(session, sid);
      if (listed !== undefined) return this.#saver.saveListed(listed, session, report);
      const adopted = loaded.adopt(session, sid, this.#dated);
      return adopted === undefined
        ? this.#saver.create(sid, session, report)
        : this.#saver.save(adopted, session, report);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** At once where there is nothing to send. */
  #touch(sid: string, session: SessionData, report?: Report): TouchResult | Promise<TouchResult> {
    try {
      assertSid(sid);
      assertSession(session);
      const known = this.#loaded.find(session, sid);
      const listed = known === undefined ? this.#loaded.findListed(session, sid) : undefined;
      if (listed !== undefined) return this.#toucher.touchListed(listed, session, report);
      const life = this.#toucher.plan(sid, session, known);
      if (life === undefined) return "OK";
      return this.#toucher.touch(sid, session, known, life, report);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async #destroy(
    sid: string,
    why: "logout" | "regenerated" | DestroyOptions,
    report?: Report,
  ): Promise<number> {
    assertSid(sid);
    const ending: Ending =
      typeof why === "object"
        ? revocation("destroy()", why, this.#endings !== undefined)
        : { reason: why };
    return this.#saver.destroy(sid, ending, report);
  }

  async #clear(): Promise<number> {
    // A session that is stored from now on keeps its entry.
    const time = this.#index && (await this.#port.time());
    const removed = await this.#listing.clear();
    if (time !== undefined) await this.#index?.clear(time);
    return removed;
  }

  async #page(options: PageOptions): Promise<SessionPage> {
    const { cursor, limit } = pageAsked(options);
    return this.#listing.page(cursor, limit);
  }

  async #ping(): Promise<number> {
    const asked = performance.now();
    await this.#port.ping();
    return performance.now() - asked;
  }

  async #destroyOf(
    userId: string | number,
    handle: string,
    options: DestroyOptions,
  ): Promise<number> {
    const user = userNamed(userId);
    assertHandle(handle);
    const ending = revocation("destroyOf()", options, this.#endings !== undefined);
    return this.#indexed().removeOne(user, handle, ending);
  }

  async #whyGone(of: string | { readonly handle: string }): Promise<WhyGone | null> {
    const endings = this.#endings;
    if (endings === undefined) throw needsEndings("whyGone()");
    if (typeof of === "object" && of !== null) {
      const why = await endings.why(handleAsked(of));
      return why.at === null ? null : why;
    }
    assertSid(of);
    const [session, why] = await Promise.all([
      this.#reader.get(of),
      endings.why(this.handleOf(of)),
    ]);
    return session === null ? why : null;
  }

  async #sessionsOf(userId: string | number): Promise<UserSessionEntry[]> {
    const user = userNamed(userId);
    return this.#indexed().list(user);
  }

  async #destroyAllOf(userId: string | number, options: DestroyAllOptions): Promise<number> {
    const user = userNamed(userId);
    const isNoted = this.#endings !== undefined;
    const { spared, scan, ending } = revocationOfAll(options, isNoted);
    return this.#indexed().removeAll(user, spared, scan, ending);
  }

  #inflate(session: Tree, sid: string): object {
    const req = { sessionID: sid, sessionStore: this } as unknown as Parameters<
      Store["createSession"]
    >[0];
    return this.createSession(req, session as unknown as SessionData);
  }

  #indexed(): UserIndex {
    if (this.#index !== undefined) return this.#index;
    const message = 'finding the sessions of a user needs the option "userId"';
    throw new StoreError("ERR_INVALID_OPTION", message);
  }
}
