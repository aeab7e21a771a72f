// The transport over ioredis and iovalkey.
import { Complaints } from "../complaints.js";
import { slotOf } from "../slot.js";
import { type Command, Gate, type Primary, type Transport } from "../transport.js";

/** What the store uses of a client of ioredis 5 or 6 or of iovalkey: `new Redis()`. */
export interface IoRedisClient extends IoRedisLike {
  readonly mode: string;
}

/** What the store uses of a cluster of ioredis 5 or 6 or of iovalkey: `new Redis.Cluster()`. */
export interface IoRedisCluster extends IoRedisLike {
  nodes(role?: "all" | "master" | "slave"): IoRedisLike[];
}

/** What the client knows of a cluster: the addresses that serve a slot, the primary first. */
interface Topology {
  readonly slots?: readonly (readonly string[] | undefined)[];
}

interface IoRedisLike {
  readonly status: string;
  readonly options: object;
  connect(): Promise<unknown>;
  createBuiltinCommand(name: string): object;
  on(event: string, listener: () => void): unknown;
  off(event: string, listener: () => void): unknown;
}

/** The options of theirs that matter to the store. */
interface Options {
  readonly keyPrefix?: string | Buffer;
  readonly scaleReads?: unknown;
  readonly enableOfflineQueue?: unknown;
  readonly host?: string;
  readonly port?: number;
  readonly path?: string;
  /** Of the primary, with sentinels. */
  readonly name?: string;
}

type Sender = (this: IoRedisLike, ...args: Command) => Promise<unknown>;
interface Senders {
  readonly string: Sender;
  readonly buffer: Sender;
}

/** ioredis and iovalkey: one server, sentinels, or a cluster. */
export class IoRedisTransport implements Transport {
  readonly keyPrefix: string;
  readonly addsPrefix = true;
  readonly readsReplicas: boolean;
  readonly isOrdered: boolean;
  readonly inFlight = 1000;
  readonly primaries?: () => Promise<Primary[]>;
  readonly primaryOf?: (key: string) => string | undefined;
  readonly onSwitch?: (listener: () => void) => () => void;
  readonly complaints: Complaints;
  readonly #client: IoRedisLike;
  readonly #failsFast: boolean;
  readonly #senders = new Map<string, Senders>();
  readonly #gate = new Gate(() => this.isReady());

  constructor(client: IoRedisClient | IoRedisCluster) {
    const { keyPrefix, scaleReads, enableOfflineQueue } = client.options as Options;
    this.#client = client;
    this.complaints = new Complaints(client, () => this.isReady());
    this.#failsFast = enableOfflineQueue === false;
    this.keyPrefix = String(keyPrefix ?? "");
    this.readsReplicas = "nodes" in client && scaleReads !== "master";
    this.isOrdered = !("nodes" in client);
    if ("nodes" in client) {
      this.primaries = async () => client.nodes("master").map((node) => this.#primary(node));
      this.primaryOf = (key) => (client as Topology).slots?.[slotOf(this.keyPrefix + key)]?.[0];
    } else {
      this.onSwitch = (listener) => {
        client.on("ready", listener);
        return () => client.off("ready", listener);
      };
    }
  }

  isReady(): boolean {
    return this.#client.status === "ready";
  }

  host(): string {
    if (this.primaries !== undefined) return "a primary of the cluster";
    const { name, path, host, port } = this.#client.options as Options;
    return name ? `the primary ${name}` : (path ?? `${host}:${port}`);
  }

  trouble(): string {
    return this.#client.status === "end"
      ? "the Redis client is closed"
      : "the Redis client has lost its connection, or does not get one";
  }

  send(
    command: Command,
    _key: string,
    binary: boolean,
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    // Without its queue the client fails at once, which is what the app wants then.
    return signal === undefined || this.#failsFast
      ? this.#dispatch(this.#client, command, binary)
      : this.#sendLater(command, binary, signal);
  }

  async #sendLater(command: Command, binary: boolean, signal: AbortSignal): Promise<unknown> {
    // With lazyConnect the first command connects.
    if (this.#client.status === "wait") this.#client.connect().catch(() => {});
    await this.#gate.pass(signal);
    return this.#dispatch(this.#client, command, binary);
  }

  /**
   * Not by `call()`: with autopipelining, that groups an EVALSHA in a cluster by its first argument,
   * which is no key. These functions are never pipelined by the client.
   */
  #dispatch(client: IoRedisLike, [name, ...args]: Command, binary: boolean): Promise<unknown> {
    const key = name as string;
    let senders = this.#senders.get(key);
    if (senders === undefined) {
      senders = client.createBuiltinCommand(key.toLowerCase()) as Senders;
      this.#senders.set(key, senders);
    }
    return (binary ? senders.buffer : senders.string).apply(client, args);
  }

  #primary(node: IoRedisLike): Primary {
    const { host, port } = node.options as Options;
    return {
      address: `${host}:${port}`,
      send: (command) => this.#dispatch(node, command, false),
      connection: async () => node,
    };
  }
}
