// The event source that watch() gives.
import { EventEmitter } from "node:events";
import { StoreError } from "../base/index.js";
import type { Publisher, Subscriber } from "../client/index.js";
import { patternOf } from "../session/index.js";
import { KeyspaceReader, type SessionEvent } from "./keyspace.js";
import { enableEvents } from "./keyspace-setting.js";

/** How often connections are asked for a sign of life, and servers looked for, in ms. */
const LOOK = 1000;

/** The events of {@link SessionEvents}, each with its arguments. */
export interface SessionEventMap {
  /** A session was stored that was not there. Needs Redis 7; otherwise it is `updated`. */
  created: [sid: string, handle: string];
  /** A session was written. */
  updated: [sid: string, handle: string];
  /** The expiry of a session was renewed, and nothing else. */
  touched: [sid: string, handle: string];
  /** A session was removed: logged out, deleted, evicted. */
  destroyed: [sid: string, handle: string];
  /** A session has expired, and Redis has noticed it. */
  expired: [sid: string, handle: string];
  /** A lost connection is back. Nothing is known of what happened in between. */
  gap: [];
  /** A lost connection does not come back; it is tried again. Emitted only if there is a listener. */
  error: [error: StoreError];
}

/** One server that is listened to. */
interface Post {
  publisher: Publisher;
  subscriber: Subscriber | undefined;
  isOpening: boolean;
  /** Stops listening for another server that takes this one's place. */
  readonly stop: (() => void) | undefined;
}

/**
 * What happens to sessions, whichever process or program does it. Each event comes at most once, and
 * `expired` when Redis has noticed it, which on a large database may be minutes late.
 */
export class SessionEvents extends EventEmitter<SessionEventMap> {
  readonly #publishers: () => Promise<Publisher[]>;
  /** What a session's key starts with, a key prefix of the client included. */
  readonly #prefix: string;
  readonly #handleOf: (sid: string) => string;
  readonly #posts = new Map<string, Post>();
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
  readonly #onClose: (events: SessionEvents) => void;

  /** @internal */
  constructor(
    publishers: () => Promise<Publisher[]>,
    prefix: string,
    handleOf: (sid: string) => string,
    onClose: (events: SessionEvents) => void,
  ) {
    super();
    this.#publishers = publishers;
    this.#prefix = prefix;
    this.#handleOf = handleOf;
    this.#onClose = onClose;
  }

  /**
   * Resolves when all servers are listened to.
   *
   * @internal
   */
  async open(): Promise<this> {
    try {
      await this.#findServers();
      await Promise.all(Array.from(this.#posts.values(), (post) => this.#listen(post)));
    } catch (error) {
      this.close();
      throw error;
    }
    if (!this.#isClosed) this.#timer = setInterval(() => void this.#look(), LOOK).unref();
    return this;
  }

  /** Ends the connections; nothing is emitted any more. */
  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
    for (const post of this.#posts.values()) this.#leave(post);
    this.#onClose(this);
  }

  /** Brings the posts in line with the servers that there are. */
  async #findServers(): Promise<void> {
    const found = await this.#publishers();
    if (this.#isClosed) return;
    const addresses = new Set(found.map(({ address }) => address));
    for (const [address, post] of this.#posts) {
      if (!addresses.has(address)) this.#leave(post);
    }
    for (const publisher of found) {
      const post = this.#posts.get(publisher.address);
      if (post !== undefined) post.publisher = publisher;
      else this.#add(publisher);
    }
  }

  #add(publisher: Publisher): void {
    const post: Post = {
      publisher,
      subscriber: undefined,
      isOpening: false,
      stop: publisher.onSwitch?.(() => {
        if (post.subscriber !== undefined) this.#lost(post, post.subscriber);
      }),
    };
    this.#posts.set(publisher.address, post);
  }

  #leave({ publisher, subscriber, stop }: Post): void {
    this.#posts.delete(publisher.address);
    stop?.();
    subscriber?.close();
  }

  async #look(): Promise<void> {
    try {
      await this.#findServers();
    } catch (error) {
      this.#failed(error);
    }
    for (const post of this.#posts.values()) {
      if (post.subscriber === undefined) void this.#listenAgain(post);
      else this.#check(post, post.subscriber);
    }
  }

  /** A connection may be dead without a sign: nobody writes to it but this. */
  #check(post: Post, subscriber: Subscriber): void {
    subscriber.ping().catch(() => this.#lost(post, subscriber));
  }

  async #listenAgain(post: Post): Promise<void> {
    if (post.isOpening) return;
    try {
      await this.#listen(post);
      if (post.subscriber !== undefined) this.#tell("gap");
    } catch (error) {
      this.#failed(error);
    }
  }

  async #listen(post: Post): Promise<void> {
    const { publisher } = post;
    post.isOpening = true;
    try {
      // A server that was started anew has the setting of its configuration file.
      await enableEvents(publisher, this.#prefix);
      const start = `__keyspace@${await databaseOf(publisher)}__:${this.#prefix}`;
      const reader = new KeyspaceReader((event, sid) => this.#tell(event, sid));
      let subscriber: Subscriber | undefined;
      subscriber = await publisher.subscribe(patternOf(start), {
        onMessage: (channel, message) => reader.read(channel.slice(start.length), message),
        onLost: () => subscriber && this.#lost(post, subscriber),
      });
      if (this.#isClosed || this.#posts.get(publisher.address) !== post) subscriber.close();
      else post.subscriber = subscriber;
    } finally {
      post.isOpening = false;
    }
  }

  #lost(post: Post, subscriber: Subscriber): void {
    if (post.subscriber !== subscriber) return;
    post.subscriber = undefined;
    subscriber.close();
  }

  #failed(error: unknown): void {
    if (!this.#isClosed && this.listenerCount("error") > 0) {
      process.nextTick(() => this.emit("error", error as StoreError));
    }
  }

  /** Outside of the client's own code: what a listener throws is the app's. */
  #tell(event: SessionEvent, sid: string): void;
  #tell(event: "gap"): void;
  #tell(event: SessionEvent | "gap", sid?: string): void {
    process.nextTick(() => {
      if (this.#isClosed) return;
      if (event === "gap") this.emit("gap");
      else this.emit(event, sid as string, this.#handleOf(sid as string));
    });
  }
}

/** The number of the database that the client uses; events name it. */
async function databaseOf(publisher: Publisher): Promise<string> {
  try {
    const info = String(await publisher.send(["CLIENT", "INFO"]));
    return /(?:^| )db=(\d+)/.exec(info)?.[1] ?? "0";
  } catch (error) {
    const { code } = error as StoreError;
    if (code === "ERR_UNAVAILABLE" || code === "ERR_TIMEOUT") throw error;
    throw new StoreError(
      "ERR_NO_PERMISSION",
      `watch() asks which database the client uses: grant the Redis user the command CLIENT INFO`,
      error,
    );
  }
}
