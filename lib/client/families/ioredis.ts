// The transport over ioredis and iovalkey.
import { Complaints } from "../complaints.js";
import { slotOf } from "../slot.js";
import {
  type Command,
  Gate,
  type Primary,
  type Replacement,
  type Transport,
  type Wait,
} from "../transport.js";

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
  sendCommand(command: never): unknown;
  on(event: string, listener: () => void): unknown;
  off(event: string, listener: () => void): unknown;
}

/** The options of theirs that matter to the store. */
interface Options {
  readonly keyPrefix?: string | Buffer;
  readonly scaleReads?: unknown;
  readonly enableOfflineQueue?: unknown;
  readonly stringNumbers?: unknown;
  /** Of the nodes of a cluster. */
  readonly redisOptions?: { readonly stringNumbers?: unknown };
  readonly host?: string;
  readonly port?: number;
  readonly path?: string;
  /** Of the primary, with sentinels. */
  readonly name?: string;
}

/** A command as they keep it, from the call until it is answered. */
interface Sent {
  /** Its bytes, each time that it is written. */
  toWritable(): string | Buffer;
}

/** In the place of the client: what its functions use of it. */
interface Receiver {
  readonly options: object;
  sendCommand(command: Sent): unknown;
}

type Sender = (this: Receiver, ...args: Command) => Promise<unknown>;
interface Senders {
  readonly string: Sender;
  readonly buffer: Sender;
}

/**
 * A reply of a client that is set to give numbers as strings. Where all else comes as Buffers, they
 * are the only strings.
 */
function numbered(reply: unknown, binary: boolean): unknown {
  if (Array.isArray(reply)) return reply.map((part) => numbered(part, binary));
  if (typeof reply === "string") return Number(reply);
  return binary || !Buffer.isBuffer(reply) ? reply : reply.toString();
}

/** A PING as they write it. */
const PING = "*1\r\n$4\r\nPING\r\n";

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
  /** Whether numbers come as strings. */
  readonly #writesNumbers: boolean;
  readonly #senders = new Map<string, Senders>();
  readonly #gate = new Gate(() => this.isReady());
  /** Their own form of each command. */
  readonly #sent = new WeakMap<Command, Sent>();
  readonly #receiver: Receiver;
  #latest: Sent | undefined;

  constructor(client: IoRedisClient | IoRedisCluster) {
    const { keyPrefix, scaleReads, enableOfflineQueue, stringNumbers, redisOptions } =
      client.options as Options;
    this.#client = client;
    this.#receiver = {
      options: client.options,
      sendCommand: (sent) => {
        this.#latest = sent;
        return client.sendCommand(sent as never);
      },
    };
    this.complaints = new Complaints(client, () => this.isReady());
    this.#failsFast = enableOfflineQueue === false;
    this.#writesNumbers = Boolean(stringNumbers ?? redisOptions?.stringNumbers);
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

  isConnected(): boolean {
    // With lazyConnect it has none before the first command.
    return this.isReady() || this.#client.status === "wait";
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

  send(command: Command, _key: string, binary: boolean, wait: Wait | undefined): Promise<unknown> {
    // Without its queue the client fails at once, which is what the app wants then.
    if (wait !== undefined && !this.#failsFast) return this.#sendLater(command, binary, wait);
    wait?.left();
    return this.#sendNow(command, binary);
  }

  /** After a reconnect they send again whatever has no answer yet, however old it is. */
  replace(command: Command): Replacement | undefined {
    const sent = this.#sent.get(command);
    if (sent === undefined) return undefined;
    let isReplaced = false;
    sent.toWritable = () => {
      isReplaced = true;
      return PING;
    };
    return { isFirst: false, isAnsweredBy: () => isReplaced };
  }

  connection(): number {
    if (this.primaries !== undefined) return Number.NaN;
    return (this.#client as { connectionEpoch?: number }).connectionEpoch ?? Number.NaN;
  }

  async #sendLater(command: Command, binary: boolean, wait: Wait): Promise<unknown> {
    // With lazyConnect the first command connects.
    if (this.#client.status === "wait") this.#client.connect().catch(() => {});
    await this.#gate.pass(wait);
    return this.#sendNow(command, binary);
  }

  #sendNow(command: Command, binary: boolean): Promise<unknown> {
    const answer = this.#dispatch(this.#receiver, command, binary);
    if (this.#latest !== undefined) this.#sent.set(command, this.#latest);
    this.#latest = undefined;
    return answer;
  }

  /**
   * Not by `call()`: with autopipelining, that groups an EVALSHA in a cluster by its first argument,
   * which is no key. These functions are never pipelined by the client.
   */
  #dispatch(client: IoRedisLike | Receiver, [name, ...args]: Command, binary: boolean) {
    const key = name as string;
    let senders = this.#senders.get(key);
    if (senders === undefined) {
      senders = this.#client.createBuiltinCommand(key.toLowerCase()) as Senders;
      this.#senders.set(key, senders);
    }
    if (!this.#writesNumbers) {
      return (binary ? senders.buffer : senders.string).apply(client as Receiver, args);
    }
    return senders.buffer.apply(client as Receiver, args).then((reply) => numbered(reply, binary));
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
