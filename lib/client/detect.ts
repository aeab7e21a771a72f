// The one place that recognises clients.
import { StoreError } from "../base/index.js";
import { Commands } from "./commands.js";
import { comparingOf } from "./compare.js";
import { type GlideClientLike, GlideTransport } from "./families/glide.js";
import { type IoRedisClient, type IoRedisCluster, IoRedisTransport } from "./families/ioredis.js";
import {
  type NodeRedisClient,
  NodeRedisClientTransport,
  type NodeRedisPool,
  NodeRedisPoolTransport,
  type NodeRedisSentinel,
  NodeRedisSentinelTransport,
} from "./families/node-redis.js";
import { type NodeRedisCluster, NodeRedisClusterTransport } from "./families/node-redis-cluster.js";
import {
  ioRedisSubscribe,
  nodeRedisPoolSubscribe,
  nodeRedisSharedSubscribe,
  nodeRedisSubscribe,
} from "./families/subscribe.js";
import {
  canTrack,
  NodeRedisTracker,
  type Tracker,
  type TrackingEvents,
} from "./families/tracking.js";
import type { Adapter, Port } from "./port.js";
import { type Publisher, publishersOf, type Subscribe } from "./publisher.js";
import type { Transport } from "./transport.js";

/** The clients that the store takes, by what it uses of them. */
export type RedisClient =
  | NodeRedisClient
  | NodeRedisPool
  | NodeRedisCluster
  | NodeRedisSentinel
  | IoRedisClient
  | IoRedisCluster
  | GlideClientLike
  | Adapter;

/**
 * The port for a client as the app made it. The only place that recognises clients.
 *
 * @param timeout - how long one round trip may take, in ms
 * @param onHealth - told when the server goes down and when it is up again
 * @throws ERR_INVALID_OPTION for anything that is no client, or one that cannot be used
 */
export function createPort(
  client: unknown,
  binary: boolean,
  timeout: number,
  onHealth: (isDown: boolean) => void,
): Port {
  if (isAdapter(client)) return client.createPort({ binary, timeout, onHealth });
  const transport = transportOf(client);
  const comparing = comparingOf(client as RedisClient, transport);
  return new Commands(transport, comparing, binary, timeout, onHealth);
}

/**
 * Refuses what is no client, or one that cannot be used.
 *
 * @throws ERR_INVALID_OPTION
 */
export function assertClient(client: unknown): asserts client is RedisClient {
  if (!isAdapter(client)) transportOf(client);
}

/** Whether an object is what the store takes for a client, be it usable or not. */
export function isClient(object: object): boolean {
  const names: (keyof Features)[] = [
    "customCommand",
    "createBuiltinCommand",
    "sendCommand",
    "send_command",
    "createPort",
  ];
  return names.some((name) => typeof (object as Features)[name] === "function");
}

function isAdapter(client: unknown): client is Adapter {
  return typeof (client as Partial<Adapter> | null | undefined)?.createPort === "function";
}

/** One server behind a client, for commands that concern it as a whole. */
export interface ServerOf {
  readonly address: string;
  send(...command: string[]): Promise<unknown>;
}

/** The server of a client, or all primaries of its cluster; none of an adapter, which has no raw commands. */
export async function serversOf(client: RedisClient): Promise<ServerOf[]> {
  if (isAdapter(client)) return [];
  const transport = transportOf(client);
  if (transport.primaries === undefined) {
    const send = (...command: string[]) => transport.send(command, "", false, undefined);
    return [{ address: transport.host(), send }];
  }
  const primaries = await transport.primaries();
  return primaries.map(({ address, send }) => ({
    address,
    send: (...command) => send(command),
  }));
}

/**
 * How to read through a connection on which the server announces changes; `undefined` for a client
 * or topology that cannot do that.
 */
export function trackerOf(
  client: RedisClient,
  binary: boolean,
  timeout: number,
): ((events: TrackingEvents) => Tracker) | undefined {
  if (isAdapter(client)) return undefined;
  const transport = transportOf(client);
  if (!(transport instanceof NodeRedisClientTransport)) return undefined;
  const single = client as NodeRedisClient;
  if (!canTrack(single)) return undefined;
  return (events) =>
    new NodeRedisTracker(single, transport.keyPrefix, binary, timeout, transport.host(), events);
}

/** Where a client's servers publish, and under which key prefix. */
export interface Publishing {
  readonly keyPrefix: string;
  readonly publishers: () => Promise<Publisher[]>;
}

/** How to listen to what the servers of a client publish; `undefined` for a client that cannot. */
export function publishingOf(client: RedisClient, timeout: number): Publishing | undefined {
  if (isAdapter(client)) return undefined;
  const transport = transportOf(client);
  // Its subscriptions are fixed when it is created.
  if (transport instanceof GlideTransport) return undefined;
  const publishers = publishersOf(transport, client, subscribeLike, timeout);
  return publishers && { keyPrefix: transport.keyPrefix, publishers };
}

/** How to make a connection that listens out of one that the app has. */
function subscribeLike(connection: object): Subscribe | undefined {
  const { psubscribe, pSubscribe, duplicate, execute } = connection as Record<string, unknown>;
  if (typeof duplicate === "function") {
    if (typeof psubscribe === "function") return ioRedisSubscribe(connection as never);
    if (typeof pSubscribe === "function") return nodeRedisSubscribe(connection as never);
  }
  if (typeof pSubscribe === "function") return nodeRedisSharedSubscribe(connection as never);
  return typeof execute === "function" ? nodeRedisPoolSubscribe(connection as never) : undefined;
}

/** Everything by which clients are told apart; none is sure to be there. */
interface Features {
  // Promises
  readonly then?: unknown;
  // node-redis
  readonly sendCommand?: unknown;
  readonly send_command?: unknown;
  readonly isOpen?: unknown;
  readonly isReady?: unknown;
  readonly nodeClient?: unknown;
  readonly masters?: unknown;
  readonly totalClients?: unknown;
  readonly getSentinelNode?: unknown;
  // ioredis
  readonly createBuiltinCommand?: unknown;
  readonly status?: unknown;
  readonly mode?: unknown;
  readonly nodes?: unknown;
  readonly isPipeline?: unknown;
  readonly manuallyClosing?: unknown;
  readonly options?: { readonly legacyMode?: unknown; readonly role?: unknown } | undefined;
  // valkey-glide
  readonly customCommand?: unknown;
  readonly getStatistics?: unknown;
  readonly isClosed?: unknown;
  // mocks
  readonly get?: unknown;
  readonly multi?: unknown;
  // an Adapter
  readonly createPort?: unknown;
}

function transportOf(client: unknown): Transport {
  if (client === undefined) throw refused("nothing was passed");
  if (typeof client === "function") {
    throw refused("what was passed is a function or class; pass the client that it makes");
  }
  if (typeof client !== "object" || client === null) {
    const kind = client === null ? "null" : typeof client;
    throw refused(`what was passed is ${kind === "string" ? "a string" : kind}`);
  }
  const features = client as Features;
  if (typeof features.then === "function") {
    throw refused("what was passed is a promise; await it and pass the client");
  }
  if (typeof features.customCommand === "function" && typeof features.getStatistics === "function")
    return glide(client, features);
  if (typeof features.createBuiltinCommand === "function") return ioRedis(client, features);
  if (typeof features.sendCommand === "function") return nodeRedis(client, features);
  if (typeof features.get === "function" && typeof features.multi === "function") {
    throw refused(
      "what was passed has get() and multi() but no way to send a command, as a mock does (ioredis-mock, redis-mock); a mock has neither the scripts nor the expiry of a server: test against a real one, which redis-memory-server starts from npm",
    );
  }
  throw refused("what was passed is none that the store knows");
}

function nodeRedis(client: object, features: Features): Transport {
  if (typeof features.nodeClient === "function") {
    if (!Array.isArray(features.masters)) {
      throw refused("what was passed is a cluster of redis 4.5 or older; update the package redis");
    }
    return new NodeRedisClusterTransport(client as NodeRedisCluster);
  }
  if (typeof features.isOpen !== "boolean") {
    throw refused("what was passed looks like a client of an old or unknown package");
  }
  if (typeof features.getSentinelNode === "function") {
    return new NodeRedisSentinelTransport(client as NodeRedisSentinel);
  }
  if (typeof features.totalClients === "number") {
    return new NodeRedisPoolTransport(client as NodeRedisPool);
  }
  if (features.options?.legacyMode) {
    throw refused(
      "what was passed is in legacyMode; create it without that option, or with redis 5 or newer pass the client itself and not what its legacy() returns",
    );
  }
  if (typeof features.isReady !== "boolean") {
    throw refused("what was passed is of an early version of redis 4; update the package redis");
  }
  return new NodeRedisClientTransport(client as NodeRedisClient);
}

function ioRedis(client: object, features: Features): Transport {
  if (features.isPipeline === true) {
    throw refused("what was passed is a pipeline; pass the client that made it");
  }
  if (features.status === "end" || features.manuallyClosing === true) {
    throw refused("what was passed is closed; create the store before quit() or disconnect()");
  }
  if (features.mode === "subscriber" || features.mode === "monitor") {
    throw refused(
      `what was passed is in ${features.mode} mode and takes no other commands; pass another connection, for example client.duplicate()`,
    );
  }
  if (features.options?.role === "slave") {
    throw refused(
      'what was passed connects to replicas, which lag behind and take no writes; create it without role: "slave"',
    );
  }
  return new IoRedisTransport(client as IoRedisClient | IoRedisCluster);
}

function glide(client: object, features: Features): Transport {
  if (features.isClosed === true) {
    throw refused("what was passed is closed; create the store before close()");
  }
  return new GlideTransport(client as GlideClientLike);
}

function refused(why: string): StoreError {
  return new StoreError(
    "ERR_INVALID_OPTION",
    `the option "client" must be a client of redis 4, 5 or 6 (createClient, createClientPool, createCluster or createSentinel), of ioredis 5 or 6 or iovalkey (Redis or Cluster), or of @valkey/valkey-glide (GlideClient or GlideClusterClient), or an adapter with createPort(); ${why}`,
  );
}
