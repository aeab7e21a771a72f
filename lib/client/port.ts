// What the store needs of Redis, in its own words.
import type { Value } from "../session/index.js";
import type { Script } from "./script.js";

/** What Redis calls the kind of a key: sessions are strings, the index of a user is sorted sets. */
export type KeyType = "string" | "zset";

/** How long a key is to live: in ms, `null` for ever, `"keep"` as long as it has left. */
export type TimeToLive = number | null | "keep";

/** What is known of a value without reading it. */
export interface Size {
  /** `undefined` where the server does not tell. */
  readonly bytes: number | undefined;
  /** What its key has left to live, in ms; `Infinity`: no expiry. */
  readonly left: number;
}

/** A page of a listing that goes on later. */
export interface KeyPage {
  readonly keys: string[];
  /** Where the next page begins; `null`: there is none. */
  readonly cursor: string | null;
}

/** What an adapter has to know of the store that it works for. */
export interface PortOptions {
  /** Whether values are read as Buffers; they may be written as either. */
  readonly binary: boolean;
  /** How long one operation may take, in ms. */
  readonly timeout: number;
  /**
   * To be told when nothing of Redis answers any longer (`true`), and when something does again
   * (`false`). An adapter that never calls it leaves the store without `down` and `up`.
   */
  readonly onHealth: (isDown: boolean) => void;
}

/**
 * A client that the store does not know, made usable: pass it as the option `client`. The
 * conformance suite in the repository (`__tests__/conformance/suite.ts`) tells whether it keeps the
 * promises of {@link Port}.
 */
export interface Adapter {
  /** Called once for each store. */
  createPort(options: PortOptions): Port;
}

/**
 * What the store needs of Redis, in its own words: times in ms, `null` for a miss, counts.
 *
 * - Keys are whole as the store builds them; a key prefix of the client is the adapter's business:
 *   it is added to every key that is sent, and taken off those that `scan` yields.
 * - Every read goes to the primary, and sees every write that was acknowledged before.
 * - Every operation settles within the store's `timeout` (`scan`: each step, the `…Many` ones: each
 *   batch). What has not been sent by then must not be sent later.
 * - Failures are `StoreError`s: ERR_TIMEOUT and ERR_UNAVAILABLE where nothing answered, ERR_READONLY,
 *   ERR_NO_PERMISSION, ERR_OUT_OF_MEMORY, ERR_CORRUPT_SESSION for a key that holds no string, and
 *   ERR_REDIS for any other refusal. A miss is never an error, and an error never a miss.
 * - A write is sent once, unless the reply proves that it did not happen (NOSCRIPT, MOVED, ASK).
 */
export interface Port {
  /** Whether what is sent first is also executed first: all goes over one connection to one server. */
  readonly isOrdered: boolean;
  /**
   * The value of `key`, or `null`.
   *
   * @param onAgain - to be called for each command beyond the first that it takes; for those who count
   */
  get(key: string, onAgain?: () => void): Promise<Value | null>;
  /**
   * Writes `key`, to live `px` ms (`null`: no expiry; `"keep"`: as long as it has left to live).
   *
   * @param when - `"existing"`: only where the key is there, `"new"`: only where it is not.
   *   `"keep"` comes with `"existing"` only, since a new key would live for ever
   * @returns `false`: nothing was written
   */
  set(key: string, value: Value, px: TimeToLive, when?: "existing" | "new"): Promise<boolean>;
  /**
   * Sets the time to live of `key` to `px` ms.
   *
   * @param when - `"longer"`: only where that makes it live longer
   * @returns `false`: no such key, or not longer
   */
  expire(key: string, px: number, when?: "longer"): Promise<boolean>;
  /**
   * Compare-and-set: writes `key` only where it holds exactly `expected`, byte for byte. Never creates
   * a key, and takes nothing else than `expected` for written: a key that holds `value` already is one
   * that holds something else, and its expiry stays.
   *
   * @param px - as for `set`
   * @param onAgain - as for `get`
   * @returns `true`: written, `null`: no such key, otherwise the value that is there instead
   */
  replace(
    key: string,
    expected: Value,
    value: Value,
    px: TimeToLive,
    onAgain?: () => void,
  ): Promise<true | null | Value>;
  /** Deletes `key`; how many were there: 1 or 0. */
  remove(key: string): Promise<number>;
  /**
   * Runs a script on `key`: its whole number, or the value that it answers. By EVALSHA; only NOSCRIPT
   * is answered by EVAL, since after any other error the script may have run.
   *
   * @param onAgain - as for `get`
   */
  run(script: Script, key: string, args: Value[], onAgain?: () => void): Promise<number | Value>;
  /** Runs a script on several keys of one slot: what it answers, as text. */
  runOn(script: Script, keys: string[], args: string[]): Promise<unknown>;
  /**
   * The keys of a type that start with exactly `prefix` (no pattern), in batches of about `count`. In
   * a cluster those of all primaries. Each key that is there from the beginning to the end comes at
   * least once, also where slots move; it may come twice.
   */
  scan(prefix: string, count: number, type?: KeyType): AsyncIterable<string[]>;
  /**
   * One step of such a scan, which goes on later, perhaps in another process: about `count` keys,
   * perhaps none.
   *
   * @param cursor - of the page before; `null` for the first one. Where it means nothing to the
   *   server, which is another one or was started anew, that server is listed from its beginning:
   *   keys come twice rather than not at all.
   * @throws ERR_INVALID_OPTION for a cursor that is none
   */
  page(prefix: string, count: number, cursor: string | null, type?: KeyType): Promise<KeyPage>;
  /** Resolves when the server has answered, or in a cluster every primary. */
  ping(): Promise<void>;
  /** What the clock of the server shows, in µs since the epoch; in a cluster the earliest of all primaries. */
  time(): Promise<number>;
  /**
   * The values of many keys, in their order; `null` where there is none, or none of type string. The
   * caller sees to it that they are not too much at a time.
   */
  getMany(keys: string[]): Promise<(Value | null)[]>;
  /** How large many values are and what their keys have left to live, in their order; `null`: no such key. */
  measure(keys: string[]): Promise<(Size | null)[]>;
  /** Deletes many keys; how many were there. */
  removeMany(keys: string[]): Promise<number>;
  /** Ends what the adapter itself has started; the store calls it once, and may go on with the rest. */
  close?(): void;
}
