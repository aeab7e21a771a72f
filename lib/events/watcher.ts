// Listens to the servers for all event sources of a store.
import { isSilence, StoreError } from "../base/index.js";
import type { Publisher, Subscriber } from "../client/index.js";
import { patternOf } from "../session/index.js";
import { KeyspaceReader, type SessionEvent } from "./keyspace.js";
import { enableEvents } from "./keyspace-setting.js";
import { SessionEvents } from "./watch.js";

/** How often connections are asked for a sign of life, and servers looked for, in ms. */
const LOOK = 1000;

/** One server that is listened to. */
interface Post {
  publisher: Publisher;
  subscriber: Subscriber | undefined;
  isOpening: boolean;
  /** Stops listening for another server that takes this one's place. */
  readonly stop: (() => void) | undefined;
}

/** What listening needs of the store. */
export interface WatcherOptions {
  readonly publishers: () => Promise<Publisher[]>;
  /** What a session's key starts with, a key prefix of the client included. */
  readonly prefix: string;
  readonly handleOf: (sid: string) => string;
  /** Told when the last event source has been closed, and the connections with it. */
  readonly onEnd: () => void;
}

/** Listens to the servers for all event sources of a store, from the first one to the last. */
export class Watcher {
  readonly #options: WatcherOptions;
  readonly #sources = new Set<SessionEvents>();
  readonly #posts = new Map<string, Post>();
  #opening: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: WatcherOptions) {
    this.#options = options;
  }

  /** Another event source; resolves when all servers are listened to. */
  async open(): Promise<SessionEvents> {
    const source = new SessionEvents(this.#options.handleOf, () => this.#ended(source));
    this.#sources.add(source);
    const isFirst = this.#opening === undefined;
    this.#opening ??= this.#start();
    try {
      await this.#opening;
      if (!isFirst) await this.#ask();
    } catch (error) {
      source.close();
      throw error;
    }
    return source;
  }

  /** Closes all event sources. */
  close(): void {
    for (const source of this.#sources) source.close();
  }

  async #start(): Promise<void> {
    await this.#findServers();
    await Promise.all(Array.from(this.#posts.values(), (post) => this.#listen(post)));
    if (!this.#isClosed) this.#timer = setInterval(() => void this.#look(), LOOK).unref();
  }

  /** Whether the servers still answer, for who comes later. */
  async #ask(): Promise<void> {
    const posts = Array.from(this.#posts.values());
    await Promise.all(
      posts.map(({ subscriber, publisher }) => subscriber?.ping() ?? publisher.send(["PING"])),
    );
  }

  #ended(source: SessionEvents): void {
    if (!this.#sources.delete(source) || this.#sources.size > 0) return;
    this.#isClosed = true;
    clearInterval(this.#timer);
    for (const post of this.#posts.values()) this.#leave(post);
    this.#options.onEnd();
  }

  /** Brings the posts in line with the servers that there are. */
  async #findServers(): Promise<void> {
    const found = await this.#options.publishers();
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
      const { prefix } = this.#options;
      await enableEvents(publisher, prefix);
      const start = `__keyspace@${await databaseOf(publisher)}__:${prefix}`;
      const reader = new KeyspaceReader(
        (event, sid) => this.#tell(event, sid),
        async () => subscriber?.ping(),
      );
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
    for (const source of this.#sources) source.fail(error as StoreError);
  }

  #tell(event: SessionEvent | "gap", sid = ""): void {
    for (const source of this.#sources) source.tell(event, sid);
  }
}

/** The number of the database that the client uses; events name it. */
async function databaseOf(publisher: Publisher): Promise<string> {
  try {
    const info = String(await publisher.send(["CLIENT", "INFO"]));
    return /(?:^| )db=(\d+)/.exec(info)?.[1] ?? "0";
  } catch (error) {
    if (isSilence(error)) throw error;
    throw new StoreError(
      "ERR_NO_PERMISSION",
      `watch() asks which database the client uses: grant the Redis user the command CLIENT INFO`,
      error,
    );
  }
}
