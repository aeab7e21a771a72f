import type { Command, Transport } from "./commands.js";

/** What the store uses of a node-redis client, version 4, 5 or 6: `createClient()`. */
export interface NodeRedisClient {
  readonly isOpen: boolean;
  readonly isReady: boolean;
  sendCommand(command: Command, options?: object): Promise<unknown>;
  once(event: string, listener: () => void): unknown;
  readonly options?: object | undefined;
}

/** The RESP type of a bulk string, by which node-redis 5 and 6 map replies to JavaScript types. */
const BULK_STRING = 36;

/**
 * Options of each command; they override the client's own.
 * `typeMapping` (5, 6) and `returnBuffers` (4) decide what bulk strings become.
 * `timeout` (6) would create an AbortSignal for each command, 5 s by default; the store has a
 * cheaper one.
 */
const AS_TEXT = { typeMapping: {}, returnBuffers: false, timeout: undefined };
const AS_BYTES = { ...AS_TEXT, typeMapping: { [BULK_STRING]: Buffer }, returnBuffers: true };

/** Whether `client` is a single node-redis client. */
export function isNodeRedis(client: object): client is NodeRedisClient {
  const like = client as Partial<NodeRedisClient>;
  return (
    typeof like.sendCommand === "function" &&
    typeof like.once === "function" &&
    typeof like.isOpen === "boolean" &&
    typeof like.isReady === "boolean"
  );
}

/** node-redis: one client. */
export class NodeRedisTransport implements Transport {
  readonly keyPrefix: string;
  readonly #client: NodeRedisClient;
  #opening: Promise<void> | undefined;

  constructor(client: NodeRedisClient) {
    this.#client = client;
    // Version 6; its raw commands do not apply it.
    const { keyPrefix } = (client.options ?? {}) as { keyPrefix?: unknown };
    this.keyPrefix = keyPrefix === undefined ? "" : String(keyPrefix);
  }

  isReady(): boolean {
    return this.#client.isReady;
  }

  trouble(): string {
    return this.#client.isOpen
      ? "the Redis client has lost its connection, or does not get one"
      : "the Redis client is not connected; call and await client.connect()";
  }

  async send(command: Command, binary: boolean, signal: AbortSignal | undefined): Promise<unknown> {
    const options = binary ? AS_BYTES : AS_TEXT;
    if (signal === undefined) return this.#client.sendCommand(command, options);
    // A client that was not connected yet cannot be told from a closed one.
    if (!this.#client.isOpen) await this.#opened();
    signal.throwIfAborted();
    // Versions 5 and 6 call it abortSignal, version 4 signal.
    return this.#client.sendCommand(command, { ...options, abortSignal: signal, signal });
  }

  /** All commands that wait for `connect()` share one listener. */
  #opened(): Promise<void> {
    this.#opening ??= new Promise<void>((resolve) => {
      this.#client.once("connect", () => {
        this.#opening = undefined;
        resolve();
      });
    });
    return this.#opening;
  }
}
