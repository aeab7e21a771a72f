import { isNoScript, StoreError } from "../errors.js";
import { patternOf } from "../keys.js";
import type { Script } from "../scripts.js";
import { Deadline } from "./deadline.js";
import type { Port, Value } from "./port.js";

/** One command as it goes over the wire: its name and its arguments. */
export type Command = Value[];

/**
 * What a client family contributes to the port: a way to send a raw command to the primary, and
 * what it does to keys. Everything else is the same for all of them.
 */
export interface Transport {
  /** Sends `command`, with bulk replies as Buffers if `binary`. Drops it unsent when `signal` aborts. */
  send(command: Command, binary: boolean, signal: AbortSignal | undefined): Promise<unknown>;
  /** Whether a command goes out at once. One that has to wait for a connection can be dropped. */
  isReady(): boolean;
  /** Why nothing goes out while the client is not ready, and what to do about it. */
  trouble(): string;
  /** A prefix that the client is set to give all keys, and that raw commands do not get. */
  readonly keyPrefix: string;
}

/** The port over any client that can send raw commands to one server. */
export class Commands implements Port {
  readonly #transport: Transport;
  readonly #binary: boolean;
  readonly #deadline: Deadline;
  readonly #prefix: string;

  /** @param timeout - how long one round trip may take, in ms */
  constructor(transport: Transport, binary: boolean, timeout: number) {
    this.#transport = transport;
    this.#binary = binary;
    this.#deadline = new Deadline(timeout);
    this.#prefix = transport.keyPrefix;
  }

  get(key: string): Promise<Value | null> {
    return this.#send(["GET", this.#prefix + key], this.#binary);
  }

  async set(key: string, value: Value, px: number | null, onlyExisting = false): Promise<boolean> {
    const command: Command = ["SET", this.#prefix + key, value];
    if (px !== null) command.push("PX", String(px));
    if (onlyExisting) command.push("XX");
    return (await this.#send(command)) !== null;
  }

  async expire(key: string, px: number): Promise<boolean> {
    return (await this.#send<number>(["PEXPIRE", this.#prefix + key, String(px)])) === 1;
  }

  remove(key: string): Promise<number> {
    return this.#send(["DEL", this.#prefix + key]);
  }

  async run(script: Script, key: string, args: Value[]): Promise<number | Value> {
    const keys = ["1", this.#prefix + key, ...args];
    try {
      return await this.#send(["EVALSHA", script.sha, ...keys], this.#binary);
    } catch (error) {
      // Only this reply proves that the script did not run.
      if (!isNoScript(error)) throw error;
      return this.#send(["EVAL", script.source, ...keys], this.#binary);
    }
  }

  async *scan(prefix: string, count: number): AsyncGenerator<string[]> {
    const own = this.#prefix;
    const match = patternOf(own + prefix);
    let cursor = "0";
    do {
      const command = ["SCAN", cursor, "MATCH", match, "COUNT", String(count), "TYPE", "string"];
      const [next, keys] = await this.#send<[cursor: string, keys: string[]]>(command);
      cursor = String(next);
      if (keys.length > 0) yield own === "" ? keys : keys.map((key) => key.slice(own.length));
    } while (cursor !== "0");
  }

  getMany(keys: string[]): Promise<(Value | null)[]> {
    return this.#send(["MGET", ...keys.map((key) => this.#prefix + key)], this.#binary);
  }

  async remaining(keys: string[]): Promise<(number | null)[]> {
    const left = await Promise.all(
      keys.map((key) => this.#send<number>(["PTTL", this.#prefix + key])),
    );
    return left.map((ms) => (ms >= 0 ? ms : ms === -1 ? Number.POSITIVE_INFINITY : null));
  }

  removeMany(keys: string[]): Promise<number> {
    return this.#send(["UNLINK", ...keys.map((key) => this.#prefix + key)]);
  }

  #send<Reply>(command: Command, binary = false): Promise<Reply> {
    const transport = this.#transport;
    const name = command[0] as string;
    if (transport.isReady()) {
      const answer = transport.send(command, binary, undefined) as Promise<Reply>;
      return this.#deadline.bound(answer, name, (error) => error);
    }
    const abort = new AbortController();
    const answer = transport.send(command, binary, abort.signal) as Promise<Reply>;
    return this.#deadline.bound(answer, name, (error) => {
      abort.abort();
      return new StoreError("ERR_UNAVAILABLE", `${error.message}: ${transport.trouble()}`);
    });
  }
}
