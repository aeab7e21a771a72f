// The public class: its methods, their callbacks and events. It wires the wings and holds no rule.
import { type SessionData, Store } from "express-session";
import {
  answer,
  answerTogether,
  assertOptions,
  type Callback,
  codeOf,
  flag,
  invalid,
  isHeard,
  OPERATIONS,
  type Report,
  StoreError,
  shown,
  Telling,
  whole,
} from "./base/index.js";
import { createPort, type Port, publishingOf, type RedisClient } from "./client/index.js";
import { type Ending, Endings, type WhyGone } from "./endings/index.js";
import { type SessionEvents, Watcher } from "./events/index.js";
import { type RedisStoreOptions, resolveOptions, type Settings } from "./options.js";
import {
  type CachingPort,
  cacheOn,
  type ListedSession,
  Listing,
  Reader,
  type SessionPage,
} from "./read/index.js";
import {
  type DiscardReason,
  type SaveResult,
  Saver,
  Toucher,
  type TouchResult,
} from "./save/index.js";
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
  shortSid,
  type TextSerializer,
  type Tree,
  type UserSessionEntry,
} from "./session/index.js";
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
  #watcher: Watcher | undefined;
  readonly #dated: boolean;
  #isDown = false;
  #isClosed = false;

  /** @throws ERR_INVALID_OPTION for an option that is missing, unknown or out of range */
  // Two forms of one: only so does TypeScript know what an inline `parse` gets.
  constructor(options: RedisStoreOptions<Client> & { serializer?: TextSerializer | undefined });
  constructor(options: RedisStoreOptions<Client>);
  constructor(options: RedisStoreOptions<Client>) {
    super();
    const settings = resolveOptions(options);
    this.#settings = settings;
    this.#telling = new Telling(
      settings.name,
      // An app may ask for anything.
      (sid) => (typeof sid === "string" ? handleOf(settings.prefix, sid) : ""),
      () => !this.#isDown,
    );
    this.client = options.client;
    this.prefix = settings.prefix;
    this.ttl = settings.ttl;
    this.scanCount = settings.scanCount;
    this.serializer = settings.serializer;
    this.disableTTL = settings.disableTTL;
    this.disableTouch = settings.disableTouch;
    this.#dated = hasDeadline(settings.rules);
    const { serializer, timeout, whenDown } = settings;
    if (whenDown === "bypass") {
      // For a session() that is created while Redis is down already.
      this.on("newListener", (event, listener) => {
        if (event === "disconnect" && this.#isDown) process.nextTick(listener);
      });
    }
    const port = createPort(options.client, serializer.binary === true, timeout, (isDown) =>
      this.#tellHealth(isDown),
    );
    this.#port = port;
    this.#cache = cacheOn(port, settings);
    const records = new Records(serializer, timeout, settings.keyring);
    this.#records = records;
    const telling = this.#telling;
    const endings = new Endings({ port, settings, telling });
    const rows = new Rows({
      prefix: settings.prefix,
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
    const onDiscarded = (sid: string, reason: DiscardReason) => {
      this.#telling.event("discarded", sid, { reason });
      this.#tell("discarded", sid, reason);
    };
    this.#reader = new Reader({
      ...context,
      cache: this.#cache,
      loaded: this.#loaded,
      onRefused: onDiscarded,
    });
    this.#saver = new Saver({
      ...context,
      inflate: (session, sid) => this.#inflate(session, sid),
      onMerged: (sid, { kept, overwritten }) => {
        const counts = { kept: kept.length, overwritten: overwritten.length };
        this.#telling.event("merged", sid, counts);
        this.#tell("merged", sid, kept, overwritten);
      },
      onDiscarded,
      onFixation: (sid) => this.#tellFixation(sid),
    });
    this.#toucher = new Toucher({ ...context, saver: this.#saver });
    this.#listing = new Listing(context.port, settings, records, rows, (sid, error) => {
      this.#telling.event("corrupt", sid, { code: codeOf(error) });
      this.#tell("corrupt", sid, error);
    });
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
    return answer(this.#watch(), callback);
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
   * Ends what the store itself started: the connections of the cache and of `watch()`. Not the
   * client, which is yours. The store works on without its cache; `watch()` fails with ERR_CLOSED.
   */
  close(): void {
    this.#isClosed = true;
    (this.#cache ?? this.#port).close?.();
    this.#watcher?.close();
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

  async #set(sid: string, session: SessionData, report?: Report): Promise<SaveResult> {
    assertSid(sid);
    assertSession(session);
    const loaded = this.#loaded;
    const known = loaded.find(session, sid);
    if (known !== undefined) return this.#saver.save(known, session, report);
    const listed = loaded.findListed(session, sid);
    if (listed !== undefined) return this.#saver.saveListed(listed, session, report);
    if (loaded.isRow(session)) throw rowOfAnother(sid);
    const adopted = loaded.adopt(session, sid, this.#dated);
    return adopted === undefined
      ? this.#saver.create(sid, session, report)
      : this.#saver.save(adopted, session, report);
  }

  /** At once where there is nothing to send. */
  #touch(sid: string, session: SessionData, report?: Report): TouchResult | Promise<TouchResult> {
    try {
      assertSid(sid);
      assertSession(session);
      const known = this.#loaded.find(session, sid);
      if (known === undefined && this.#loaded.isRow(session)) {
        if (this.#loaded.findListed(session, sid) === undefined) throw rowOfAnother(sid);
        return this.#toucher.touchListed(sid, session, report);
      }
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
    if (typeof why === "object") assertOptions("destroy()", why, ["because"]);
    const ending: Ending = typeof why === "object" ? this.#revoked(why) : { reason: why };
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
    assertOptions("page()", options, ["cursor", "limit"]);
    const { cursor, limit } = options;
    const from = cursor ?? null;
    if (from !== null && typeof from !== "string") throw invalid("cursor", "a string", from);
    return this.#listing.page(from, whole("limit", limit ?? 100, 1000));
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
    if (typeof handle !== "string") throw invalid("handle", "what handleOf() gives", handle);
    assertOptions("destroyOf()", options, ["because"]);
    return indexed(this.#index).removeOne(user, handle, this.#revoked(options));
  }

  async #whyGone(of: string | { readonly handle: string }): Promise<WhyGone | null> {
    const endings = this.#endings;
    if (endings === undefined) throw needsEndings("whyGone()");
    if (typeof of === "object" && of !== null) {
      assertOptions("whyGone()", of, ["handle"]);
      if (typeof of.handle !== "string") throw invalid("handle", "a string", of.handle);
      const why = await endings.why(of.handle);
      return why.at === null ? null : why;
    }
    assertSid(of);
    const [session, why] = await Promise.all([
      this.#reader.get(of),
      endings.why(this.handleOf(of)),
    ]);
    return session === null ? why : null;
  }

  #revoked({ because }: DestroyOptions): Ending {
    if (because === undefined) return { reason: "revoked" };
    if (this.#endings === undefined) throw needsEndings('the option "because"');
    if (typeof because !== "string" || because.length > LONGEST_BECAUSE) {
      throw invalid("because", `a string of at most ${LONGEST_BECAUSE} characters`, because);
    }
    return { reason: "revoked", because };
  }

  async #sessionsOf(userId: string | number): Promise<UserSessionEntry[]> {
    const user = userNamed(userId);
    return indexed(this.#index).list(user);
  }

  async #watch(): Promise<SessionEvents> {
    if (this.#isClosed) throw closed();
    const publishing = publishingOf(this.#settings.client, this.#settings.timeout);
    if (publishing === undefined) {
      const message =
        "watch() needs a client that can listen over a connection of its own: one of redis, ioredis or iovalkey; with valkey-glide, create such a client for a second store that only watches";
      throw new StoreError("ERR_INVALID_OPTION", message);
    }
    const { publishers, keyPrefix } = publishing;
    this.#watcher ??= new Watcher({
      publishers,
      prefix: keyPrefix + this.prefix,
      handleOf: (sid) => handleOf(this.prefix, sid),
      onEnd: () => {
        this.#watcher = undefined;
      },
    });
    const events = await this.#watcher.open();
    if (this.#isClosed) throw closed();
    return events;
  }

  async #destroyAllOf(userId: string | number, options: DestroyAllOptions): Promise<number> {
    const user = userNamed(userId);
    assertOptions("destroyAllOf()", options, ["except", "scan", "because"]);
    const scan = flag("scan", options.scan ?? false);
    const spared = sparedBy(options);
    return indexed(this.#index).removeAll(user, spared, scan, this.#revoked(options));
  }

  #inflate(session: Tree, sid: string): object {
    const req = { sessionID: sid, sessionStore: this } as unknown as Parameters<
      Store["createSession"]
    >[0];
    return this.createSession(req, session as unknown as SessionData);
  }

  #tellHealth(isDown: boolean): void {
    this.#isDown = isDown;
    this.#telling.event(isDown ? "down" : "up", undefined, {});
    process.nextTick(() => {
      this.emit(isDown ? "down" : "up");
      if (this.#settings.whenDown === "bypass") this.emit(isDown ? "disconnect" : "connect");
    });
  }

  #tellFixation(sid: string): void {
    this.#telling.event("fixation", sid, {});
    process.nextTick(() => this.emit("fixation", this.handleOf(sid)));
  }

  /** Tells the app outside of the promise chain: what a listener throws is not an error of the store. */
  #tell(event: "merged" | "discarded" | "corrupt", sid: string, ...details: unknown[]): void {
    process.nextTick(() => this.emit(event, shortSid(sid), ...details));
  }
}

/** What is remembered of an ending is no place for documents. */
const LONGEST_BECAUSE = 1000;

function needsEndings(what: string): StoreError {
  const message = `${what} needs the option "endings" of the store, for example endings: { keepFor: 86400 }`;
  return new StoreError("ERR_INVALID_OPTION", message);
}

/** Options of `destroyOf`. */
export interface DestroyOptions {
  /**
   * Why, in your words, for `whyGone()`; at most 1000 characters. It is stored as it is, and shown to
   * whom you show it. Needs the option `endings`.
   */
  readonly because?: string | undefined;
}

/**
 * The events of `RedisStore`, each with its arguments. A session id is shortened: it is a credential.
 */
export interface StoreEventMap {
  /**
   * A save kept what another request had changed, and `overwritten` are the places where this one's
   * change won over the other's. Places are JSON Pointers.
   */
  merged: [sid: string, kept: string[], overwritten: string[]];
  /** A save was not written. */
  discarded: [sid: string, reason: DiscardReason];
  /** A listing left out a value that is no session. */
  corrupt: [sid: string, error: StoreError];
  /** A login was saved, or refused, under the id that the session had while it was nobody's. */
  fixation: [handle: string];
  /** Redis has not answered for longer than `timeout`. */
  down: [];
  /** Redis answers again. */
  up: [];
  /**
   * As `down`, for express-session, under `whenDown: "bypass"`. A client that the legacy entry has made
   * tells by it of each error that it has without a connection.
   */
  disconnect: [error?: Error];
  /** As `up`, for express-session, under `whenDown: "bypass"`. */
  connect: [];
}

/** An event that is the app's own; for one of the store its listener must suit. */
type OfTheApp<Name extends string | symbol> = Name extends keyof StoreEventMap ? never : Name;

/** How to listen to an event of the store, or to one that the app itself emits. */
export interface Listening<Store> {
  <Name extends keyof StoreEventMap>(
    event: Name,
    listener: (...args: StoreEventMap[Name]) => void,
  ): Store;
  <Name extends string | symbol>(
    event: OfTheApp<Name>,
    // It takes every listener: what the app emits, it knows.
    listener: (...args: never[]) => void,
  ): Store;
}

/** Options of `destroyAllOf`. */
export interface DestroyAllOptions extends DestroyOptions {
  /**
   * The id of a session that stays, or several. Leave it out to end all of them: `undefined`, which a
   * slip of the pen gives, is refused.
   */
  readonly except?: string | readonly string[];
  /**
   * Looks through all sessions too, for those that no index names: stored before the option `userId`
   * was set, by another store, or whose index was evicted. Takes as long as `sessions()`. Where some
   * are sealed under a key that the store has not, it ends the others and then rejects with
   * ERR_UNKNOWN_KEY, `removed` and `unreadable`.
   * @default false
   */
  readonly scan?: boolean;
}

function sparedBy(options: DestroyAllOptions): Set<string> {
  if (!("except" in options)) return new Set();
  const { except } = options as { except: unknown };
  const sids: unknown[] = Array.isArray(except) ? except : [except];
  if (sids.every((sid) => typeof sid === "string" && sid !== "")) return new Set(sids as string[]);
  const message = `the option "except" of destroyAllOf() must be a session id or an array of session ids, got ${shown(except)}; leave it out to end all sessions of the user. Nothing was ended`;
  throw new StoreError("ERR_INVALID_OPTION", message);
}

function closed(): StoreError {
  const message = "the store was closed; watch() would open a connection that nobody closes";
  return new StoreError("ERR_CLOSED", message);
}

/** Options of `page`. */
export interface PageOptions {
  /** Of the page before; `null` or none for the first one. */
  readonly cursor?: string | null | undefined;
  /**
   * About how many sessions, from 1 to 1000.
   * @default 100
   */
  readonly limit?: number | undefined;
}

function indexed(index: UserIndex | undefined): UserIndex {
  if (index !== undefined) return index;
  const message = 'finding the sessions of a user needs the option "userId"';
  throw new StoreError("ERR_INVALID_OPTION", message);
}

function rowOfAnother(sid: string): StoreError {
  const message = `this session was listed under another id than ${shortSid(sid)}; nothing was stored: give a copy of it, { ...session }, if it is to be a new session`;
  return new StoreError("ERR_INVALID_SID", message);
}

function assertSession(session: unknown): asserts session is SessionData {
  if (typeof session === "object" && session !== null && !Array.isArray(session)) return;
  const got = session === null ? "null" : Array.isArray(session) ? "an array" : typeof session;
  throw new StoreError(
    "ERR_INVALID_SESSION",
    `a session must be an object, got ${got}; nothing was stored`,
  );
}
