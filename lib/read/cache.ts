// Answers reads from memory while the server vouches for them.
import { performance } from "node:perf_hooks";
import { LRUCache } from "lru-cache";
import { StoreError } from "../base/index.js";
import {
  type KeyPage,
  type KeyType,
  type Port,
  type Script,
  type Size,
  type TimeToLive,
  type Tracker,
  type TrackingEvents,
  trackerOf,
} from "../client/index.js";
import type { Settings } from "../options.js";
import type { Value } from "../session/index.js";

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
 * - A write of this process removes the entry. While it is under way, reads go the way that it goes
 *   and fill nothing, so that the process always reads its own writes.
 * - An entry is served only until the expiry that was learnt with it; the server announces an
 *   expiry late.
 */
export class CachingPort implements Port {
  readonly #port: Port;
  readonly #tracker: Tracker;
  readonly #entries: LRUCache<string, Entry>;
  /** The latest read under way of each key; taken away when the key changes meanwhile. */
  readonly #reading = new Map<string, symbol>();
  /** How many writes of each key are under way. */
  readonly #writes = new Map<string, number>();

  /** @param max - how many values are kept */
  constructor(port: Port, track: (events: TrackingEvents) => Tracker, max: number) {
    this.#port = port;
    this.#entries = new LRUCache({ max });
    this.#tracker = track({
      onInvalidated: (key) => (key === null ? this.#dropAll() : this.#drop(key)),
      onLost: () => this.#dropAll(),
    });
  }

  /** What the cache holds for a key, if that is known to be what Redis holds. */
  peek(key: string): Cached | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined || !this.#tracker.isCoherent()) return undefined;
    if (performance.now() < entry.until) return entry;
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
    this.#tracker.close();
  }

  get isOrdered(): boolean {
    return this.#port.isOrdered;
  }

  async get(key: string): Promise<Value | null> {
    if (this.#writes.has(key) || !this.#tracker.isCoherent()) return this.#port.get(key);
    const read = Symbol();
    this.#reading.set(key, read);
    try {
      const { value, until } = await this.#tracker.read(key);
      // A miss logs a user out: it has to be one on the app's own connection.
      if (value === null) return await this.#port.get(key);
      if (this.#reading.get(key) === read)
        this.#entries.set(key, { value, until, plain: undefined });
      return value;
    } catch (error) {
      // The connection that is lost is not the one that the app depends on.
      if ((error as { code?: unknown }).code === "ERR_UNAVAILABLE") return this.#port.get(key);
      throw error;
    } finally {
      if (this.#reading.get(key) === read) this.#reading.delete(key);
    }
  }

  set(key: string, value: Value, px: TimeToLive, when?: "existing" | "new"): Promise<boolean> {
    return this.#writing([key], this.#port.set(key, value, px, when));
  }

  expire(key: string, px: number, when?: "longer"): Promise<boolean> {
    return this.#writing([key], this.#port.expire(key, px, when));
  }

  replace(
    key: string,
    expected: Value,
    value: Value,
    px: TimeToLive,
  ): Promise<true | null | Value> {
    return this.#writing([key], this.#port.replace(key, expected, value, px));
  }

  remove(key: string): Promise<number> {
    return this.#writing([key], this.#port.remove(key));
  }

  run(script: Script, key: string, args: Value[]): Promise<number | Value> {
    return this.#writing([key], this.#port.run(script, key, args));
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
    return this.#writing(keys, this.#port.removeMany(keys));
  }

  async #writing<Result>(keys: string[], written: Promise<Result>): Promise<Result> {
    for (const key of keys) {
      this.#drop(key);
      this.#writes.set(key, (this.#writes.get(key) ?? 0) + 1);
    }
    try {
      return await written;
    } finally {
      for (const key of keys) {
        const others = (this.#writes.get(key) ?? 1) - 1;
        if (others > 0) this.#writes.set(key, others);
        else this.#writes.delete(key);
      }
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
