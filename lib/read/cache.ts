// Answers reads from memory while the server vouches for them.
import { performance } from "node:perf_hooks";
import { LRUCache } from "lru-cache";
import { StoreError } from "../base/index.js";
import {
  type KeyPage,
  type KeyType,
  listenToWrites,
  type Port,
  type Script,
  type Size,
  type TimeToLive,
  type Tracker,
  type TrackingEvents,
  trackerOf,
} from "../client/index.js";
import type { Settings } from "../options.js";
import { copyOf, type Value } from "../session/index.js";

interface Entry extends Cached {
  /** When the key expires, on the monotonic clock. */
  readonly until: number;
}

/** What the cache holds for a key. */
export interface Cached {
  /** As Redis holds it. */
  readonly value: Value;
  /** The same, once it was opened: to open it again would take longer than to find it. */
  plain: Value | undefined;
}

/**
 * A port that answers reads from memory while the server vouches for them.
 *
 * - Only a tracked read fills the cache: of a key that nobody reads, the server announces nothing.
 * - A read that was under way when its key was invalidated or written fills nothing: the
 *   announcement may overtake the reply.
 * - A write of this process, by whichever store, removes the entry. While it is under way, reads go
 *   to Redis and fill nothing, so that the process always reads its own writes.
 * - An entry is served only until the expiry that was learnt with it; the server announces an
 *   expiry late.
 */
export class CachingPort implements Port {
  readonly #port: Port;
  readonly #tracker: Tracker;
  readonly #keyPrefix: string;
  /** Stops listening to the writes of this process. */
  readonly #deafen: () => void;
  readonly #entries: LRUCache<string, Entry>;
  /** The latest read under way of each key; taken away when the key changes meanwhile. */
  readonly #reading = new Map<string, symbol>();
  /** How many writes of each key are under way. */
  readonly #writes = new Map<string, number>();
  #hasWarned = false;

  /** @param max - how many values are kept */
  constructor(port: Port, track: (events: TrackingEvents) => Tracker, max: number) {
    this.#port = port;
    this.#entries = new LRUCache({ max });
    this.#tracker = track({
      onInvalidated: (key) => (key === null ? this.#dropAll() : this.#drop(key)),
      onLost: () => this.#dropAll(),
      onRefused: (error) => this.#warn(error),
    });
    this.#keyPrefix = this.#tracker.keyPrefix;
    // A store that nobody has closed must not stay in memory for this.
    const own = new WeakRef(this);
    this.#deafen = listenToWrites({
      begin: (keys) => own.deref()?.onWriting(keys),
      end: (keys) => own.deref()?.onWritten(keys),
    });
  }

  /** What the cache holds for a key, if that is known to be what Redis holds. */
  peek(key: string): Cached | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    const now = performance.now();
    if (!this.#tracker.isCoherent(now)) return undefined;
    if (now < entry.until) return entry;
    this.#entries.delete(key);
    return undefined;
  }

  /** Notes the plain form of what a key holds. */
  opened(key: string, value: Value, plain: Value): void {
    const entry = this.#entries.peek(key);
    if (entry?.value === value) entry.plain = plain;
  }

  /** Forgets everything, as where other keys open what Redis holds. */
  clear(): void {
    this.#dropAll();
  }

  /** Ends the tracking connection. */
  close(): void {
    this.#port.close?.();
    this.#tracker.close();
    this.#deafen();
  }

  /** Some store of this process has begun to write keys, as Redis has them. */
  onWriting(keys: readonly string[]): void {
    for (const key of this.#own(keys)) {
      this.#drop(key);
      this.#writes.set(key, (this.#writes.get(key) ?? 0) + 1);
    }
  }

  /** And that is over. */
  onWritten(keys: readonly string[]): void {
    for (const key of this.#own(keys)) {
      const others = (this.#writes.get(key) ?? 1) - 1;
      if (others > 0) this.#writes.set(key, others);
      else this.#writes.delete(key);
    }
  }

  get isOrdered(): boolean {
    return this.#port.isOrdered;
  }

  async get(key: string, onAgain?: () => void): Promise<Value | null> {
    if (this.#writes.has(key) || !this.#tracker.isCoherent(performance.now())) {
      return this.#port.get(key);
    }
    const read = Symbol();
    this.#reading.set(key, read);
    try {
      const { value, until } = await this.#tracker.read(key);
      // A miss logs a user out: it has to be one on the app's own connection.
      if (value === null) {
        onAgain?.();
        return await this.#port.get(key);
      }
      return this.#reading.get(key) === read ? this.#keep(key, value, until) : value;
    } catch (error) {
      // The connection that is lost, or may not track, is not the one that the app depends on.
      const { code } = error as { code?: unknown };
      if (code === "ERR_UNAVAILABLE" || code === "ERR_NO_PERMISSION") return this.#port.get(key);
      throw error;
    } finally {
      if (this.#reading.get(key) === read) this.#reading.delete(key);
    }
  }

  set(key: string, value: Value, px: TimeToLive, when?: "existing" | "new"): Promise<boolean> {
    return this.#port.set(key, value, px, when);
  }

  expire(key: string, px: number, when?: "longer"): Promise<boolean> {
    return this.#port.expire(key, px, when);
  }

  replace(
    key: string,
    expected: Value,
    value: Value,
    px: TimeToLive,
    onAgain?: () => void,
  ): Promise<true | null | Value> {
    return this.#port.replace(key, expected, value, px, onAgain);
  }

  remove(key: string): Promise<number> {
    return this.#port.remove(key);
  }

  run(script: Script, key: string, args: Value[], onAgain?: () => void): Promise<number | Value> {
    return this.#port.run(script, key, args, onAgain);
  }

  runOn(script: Script, keys: string[], args: string[]): Promise<unknown> {
    return this.#port.runOn(script, keys, args);
  }

  scan(prefix: string, count: number, type?: KeyType): AsyncIterable<string[]> {
    return this.#port.scan(prefix, count, type);
  }

  page(prefix: string, count: number, cursor: string | null, type?: KeyType): Promise<KeyPage> {
    return this.#port.page(prefix, count, cursor, type);
  }

  ping(): Promise<void> {
    return this.#port.ping();
  }

  getMany(keys: string[]): Promise<(Value | null)[]> {
    return this.#port.getMany(keys);
  }

  measure(keys: string[]): Promise<(Size | null)[]> {
    return this.#port.measure(keys);
  }

  time(): Promise<number> {
    return this.#port.time();
  }

  removeMany(keys: string[]): Promise<number> {
    return this.#port.removeMany(keys);
  }

  #warn({ message }: StoreError): void {
    if (this.#hasWarned) return;
    this.#hasWarned = true;
    process.emitWarning(
      `the option "cache" has no effect, and sessions are read from Redis: ${message}`,
      { type: "RedisSessionStoreWarning", code: "NO_CACHE" },
    );
  }

  /** The value that is kept. */
  #keep(key: string, received: Value, until: number): Value {
    // What a client gives is a piece of all that it received at a time, and keeps that in memory.
    const value = typeof received === "string" ? received : copyOf(received);
    this.#entries.set(key, { value, until, plain: undefined });
    return value;
  }

  /** The keys that may be in this cache, as the store has them. */
  *#own(keys: readonly string[]): Generator<string> {
    for (const key of keys) {
      if (key.startsWith(this.#keyPrefix)) yield key.slice(this.#keyPrefix.length);
    }
  }

  #drop(key: string): void {
    this.#entries.delete(key);
    this.#reading.delete(key);
  }

  #dropAll(): void {
    this.#entries.clear();
    this.#reading.clear();
  }
}

/**
 * The port with a cache before it, if the options ask for one.
 *
 * @throws ERR_INVALID_OPTION for a client or topology that cannot keep it coherent
 */
export function cacheOn(
  port: Port,
  { client, cached, serializer, timeout }: Settings,
): CachingPort | undefined {
  if (cached === 0) return undefined;
  const track = trackerOf(client, serializer.binary === true, timeout);
  if (track !== undefined) return new CachingPort(port, track, cached);
  throw new StoreError(
    "ERR_INVALID_OPTION",
    'the option "cache" needs a client that tracks what it has read: createClient() of redis 5.9 or newer, for a single server; leave it out',
  );
}
