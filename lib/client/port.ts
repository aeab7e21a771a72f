import type { Script } from "../scripts.js";

/** What a key holds: text, or bytes where the serializer is binary. */
export type Value = string | Buffer;

/** What Redis calls the kind of a key: sessions are strings, the index of a user is sorted sets. */
export type KeyType = "string" | "zset";

/**
 * What the store needs of Redis, in its own words: times in ms, `null` for a miss, counts.
 *
 * Keys are whole as the store builds them; a key prefix of the client is the adapter's business.
 * Every read goes to the primary. Every operation settles within the store's `timeout` (`scan`:
 * each step, the `…Many` ones: each batch) and rejects with a `StoreError`.
 */
export interface Port {
  /** Whether what is sent first is also executed first: all goes over one connection to one server. */
  readonly isOrdered: boolean;
  /** The value of `key`, or `null`. */
  get(key: string): Promise<Value | null>;
  /** Writes `key`, to live `px` ms (`null`: no expiry). `false`: `onlyExisting` and no such key. */
  set(key: string, value: Value, px: number | null, onlyExisting?: boolean): Promise<boolean>;
  /** Sets the time to live of `key` to `px` ms. `false`: no such key. */
  expire(key: string, px: number): Promise<boolean>;
  /** Deletes `key`; how many were there: 1 or 0. */
  remove(key: string): Promise<number>;
  /** Runs a script on `key`: its whole number, or the value that it answers. */
  run(script: Script, key: string, args: Value[]): Promise<number | Value>;
  /** Runs a script on several keys of one slot: what it answers, as text. */
  runOn(script: Script, keys: string[], args: string[]): Promise<unknown>;
  /** The keys of a type that start with `prefix`, in batches; a key may come twice. */
  scan(prefix: string, count: number, type?: KeyType): AsyncIterable<string[]>;
  /** The values of many keys; `null` where there is none, or none of type string. */
  getMany(keys: string[]): Promise<(Value | null)[]>;
  /** What many keys have left to live, in ms; `Infinity`: no expiry, `null`: no such key. */
  remaining(keys: string[]): Promise<(number | null)[]>;
  /** Deletes many keys; how many were there. */
  removeMany(keys: string[]): Promise<number>;
}

/** Whether two values are the same, byte by byte. */
export function sameValue(a: Value, b: Value): boolean {
  return typeof a === "string" || typeof b === "string" ? a === b : a.equals(b);
}
