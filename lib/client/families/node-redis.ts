// The transports over a client, a pool and a sentinel of node-redis.
import { randomUUID } from "node:crypto";
import { Complaints } from "../complaints.js";
import { type Command, Gate, type Replacement, type Transport, type Wait } from "../transport.js";

/** What the store uses of a node-redis client, version 4, 5 or 6: `createClient()`. */
export interface NodeRedisClient {
  readonly isOpen: boolean;
  readonly isReady: boolean;
  sendCommand(command: Command, options?: object): Promise<unknown>;
  on(event: string, listener: () => void): unknown;
  off(event: string, listener: () => void): unknown;
  readonly options?: object | undefined;
}

/** What the store uses of a node-redis pool, version 5 or 6: `createClientPool()`. */
export interface NodeRedisPool {
  readonly isOpen: boolean;
  readonly isClosing: boolean;
  readonly totalClients: number;
  sendCommand(command: Command, options?: object): Promise<unknown>;
}

/** What the store uses of a node-redis sentinel, version 5 or 6: `createSentinel()`. */
export interface NodeRedisSentinel {
  readonly isOpen: boolean;
  readonly isReady: boolean;
  getSentinelNode(): unknown;
  sendCommand(
    isReadonly: boolean | undefined,
    command: Command,
    options?: object,
  ): Promise<unknown>;
  on(event: string, listener: () => void): unknown;
  off(event: string, listener: () => void): unknown;
}

interface SocketOptions {
  readonly host?: string;
  readonly port?: number;
  readonly path?: string;
}

/** The RESP type of a bulk string, by which node-redis 5 and 6 map replies to JavaScript types. */
const BULK_STRING = 36;

/**
 * Options of each command; they override the client's own.
 * `typeMapping` (5, 6) and `returnBuffers` (4) decide what bulk strings become.
 * `timeout` (6) would create an AbortSignal for each command, 5 s by default; the store has a
 * cheaper one.
 */
export const AS_TEXT = { typeMapping: {}, returnBuffers: false, timeout: undefined };
export const AS_BYTES = { ...AS_TEXT, typeMapping: { [BULK_STRING]: Buffer }, returnBuffers: true };

/**
 * The part of these options that a client needs. Versions 5 and 6 copy their own and these into one
 * object for each command, and a name that their own have not takes longer than all that the store
 * does itself; there the default is what is asked for.
 */
export function overriding(client: object, binary: boolean): object {
  const { _self: base, _commandOptions: own } = client as Version5;
  if (base === undefined) return binary ? AS_BYTES : AS_TEXT;
  // Version 5 looks at those of the client from which `withCommandOptions()` has made this one.
  const had = { ...base._commandOptions, ...own };
  const needed = Object.entries(AS_TEXT).filter(([name]) => name in had);
  const { typeMapping } = AS_BYTES;
  return { ...Object.fromEntries(needed), ...(binary && { typeMapping }) };
}

/** Where versions 5 and 6 keep the options that all commands of a client have. */
interface Version5 {
  readonly _self?: { readonly _commandOptions?: object };
  readonly _commandOptions?: object;
}

/** The key prefix of version 6; its raw commands do not apply it. */
function keyPrefixOf(client: object): string {
  const { _keyPrefix, options } = client as {
    _keyPrefix?: string | Buffer;
    options?: { keyPrefix?: string | Buffer } | undefined;
  };
  return String(_keyPrefix ?? options?.keyPrefix ?? "");
}

/** What no value of a session store is. */
function newToken(): string {
  return `redis-session-store:${randomUUID()}`;
}

const LOST = "the Redis client has lost its connection, or does not get one";
const NOT_CONNECTED = "the Redis client is not connected; call and await client.connect()";

/** node-redis: what its topologies have in common. The cluster has a file of its own. */
export abstract class NodeRedisTransport implements Transport {
  readonly keyPrefix: string;
  readonly addsPrefix = false;
  readonly readsReplicas = false;
  readonly isOrdered: boolean = false;
  readonly inFlight = 1000;
  // A client that was not connected yet cannot be told from a closed one.
  readonly #gate = new Gate(() => this.canQueue());
  readonly #client: { readonly isOpen: boolean };
  readonly #asText: object;
  readonly #asBytes: object;

  constructor(client: { readonly isOpen: boolean }, asText: object, asBytes: object) {
    this.#client = client;
    this.keyPrefix = keyPrefixOf(client);
    this.#asText = asText;
    this.#asBytes = asBytes;
  }

  send(command: Command, key: string, binary: boolean, wait: Wait | undefined): Promise<unknown> {
    const options = binary ? this.#asBytes : this.#asText;
    return wait === undefined
      ? this.dispatch(command, key, options)
      : this.#sendLater(command, key, options, wait);
  }

  /** The client keeps this very array until it writes the command, which it does once. */
  replace(command: Command): Replacement {
    const token = newToken();
    command.splice(0, command.length, "PING", token);
    return { isFirst: true, isAnsweredBy: (reply) => String(reply) === token };
  }

  trouble(): string | undefined {
    return this.#client.isOpen ? LOST : NOT_CONNECTED;
  }

  abstract isReady(): boolean;
  abstract isConnected(): boolean | undefined;
  abstract host(): string;

  /** Whether the client takes commands, at once or when it gets its connection back. */
  protected canQueue(): boolean {
    return this.#client.isOpen;
  }

  protected abstract dispatch(command: Command, key: string, options: object): Promise<unknown>;

  /**
   * Versions 5 and 6 drop a command that waits in their queue when its signal aborts. Version 4 must
   * not get one for a command that is sent at once: it counts that twice, and crashes at the next
   * disconnect.
   */
  async #sendLater(command: Command, key: string, options: object, wait: Wait): Promise<unknown> {
    await this.#gate.pass(wait);
    return this.dispatch(command, key, { ...options, abortSignal: wait.signal });
  }
}

/** One client. */
export class NodeRedisClientTransport extends NodeRedisTransport {
  override readonly isOrdered = true;
  readonly complaints: Complaints;
  readonly #client: NodeRedisClient;

  constructor(client: NodeRedisClient) {
    super(client, overriding(client, false), overriding(client, true));
    this.#client = client;
    this.complaints = new Complaints(client, () => this.isReady());
  }

  isReady(): boolean {
    return this.#client.isReady;
  }

  isConnected(): boolean {
    return this.isReady();
  }

  host(): string {
    const { socket } = (this.#client.options ?? {}) as { socket?: SocketOptions };
    return socket?.path ?? `${socket?.host ?? "localhost"}:${socket?.port ?? 6379}`;
  }

  readonly onSwitch = (listener: () => void) => listen(this.#client, "ready", listener);

  /** Commands wait here and not in the client's queue, unless the app wants them to fail at once. */
  protected override canQueue(): boolean {
    const { isOpen, isReady, options } = this.#client;
    return (
      isReady ||
      (isOpen && Boolean((options as { disableOfflineQueue?: boolean })?.disableOfflineQueue))
    );
  }

  protected dispatch(command: Command, _key: string, options: object): Promise<unknown> {
    return this.#client.sendCommand(command, options);
  }
}

/** A pool; nothing of it tells whether its clients have a connection. */
export class NodeRedisPoolTransport extends NodeRedisTransport {
  readonly #pool: NodeRedisPool;

  constructor(pool: NodeRedisPool) {
    super(pool, AS_TEXT, AS_BYTES);
    this.#pool = pool;
  }

  isReady(): boolean {
    return false;
  }

  isConnected(): undefined {}

  host(): string {
    return "the server of the pool";
  }

  override trouble(): string | undefined {
    return this.#pool.isOpen ? undefined : NOT_CONNECTED;
  }

  protected dispatch(command: Command, _key: string, options: object): Promise<unknown> {
    return this.#pool.sendCommand(command, options);
  }
}

/** A sentinel. It looks for the primary itself, and calls itself ready while it does. */
export class NodeRedisSentinelTransport extends NodeRedisTransport {
  readonly #sentinel: NodeRedisSentinel;

  constructor(sentinel: NodeRedisSentinel) {
    super(sentinel, AS_TEXT, AS_BYTES);
    this.#sentinel = sentinel;
  }

  isReady(): boolean {
    return false;
  }

  isConnected(): undefined {}

  host(): string {
    return "the primary of the sentinels";
  }

  override trouble(): string | undefined {
    return this.#sentinel.isReady ? undefined : super.trouble();
  }

  readonly onSwitch = (listener: () => void) => listen(this.#sentinel, "topology-change", listener);

  protected dispatch(command: Command, _key: string, options: object): Promise<unknown> {
    // What is not read-only goes to the primary, whatever `replicaPoolSize` says.
    return this.#sentinel.sendCommand(false, command, options);
  }
}

function listen(
  emitter: Pick<NodeRedisClient, "on" | "off">,
  event: string,
  listener: () => void,
): () => void {
  emitter.on(event, listener);
  return () => {
    emitter.off(event, listener);
  };
}
