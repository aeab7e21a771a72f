import {
  GlideClient,
  type GlideClientConfiguration,
  GlideClusterClient,
  type GlideClusterClientConfiguration,
  Logger,
} from "@valkey/valkey-glide";
import { Cluster as Cluster6, Redis as Redis6 } from "ioredis";
import { Cluster as Cluster5, Redis as Redis5 } from "ioredis5";
import { Redis as Valkey, Cluster as ValkeyCluster } from "iovalkey";
import * as redis6 from "redis";
import * as redis4 from "redis4";
import * as redis5 from "redis5";
import type { RedisClient } from "../../lib/index.js";

/** Where a server is, and how to log in to it. */
export interface Address {
  readonly port: number;
  readonly username?: string;
  readonly password?: string;
  /** The certificate to trust; without it the connection is not encrypted. */
  readonly ca?: string;
}

/** Where sentinels are, and what they call the primary. */
export interface Watched {
  readonly name: string;
  readonly sentinels: readonly Address[];
}

export interface Opened {
  readonly client: RedisClient;
  readonly close: () => unknown;
}

/** One way in which an app may create its client. */
export interface Way<Where> {
  readonly name: string;
  readonly keyPrefix?: string;
  readonly open: (where: Where) => Promise<Opened>;
}

// It would report every reply of a server that is an error; some are what a test is about.
Logger.setLoggerConfig("off");

const host = "127.0.0.1";
const keyPrefix = "conformance:app[1]*:";

/** What the packages have in common: an emitter of errors, which are nobody's while servers come and go. */
function quiet<Client extends { on(event: "error", listener: () => void): unknown }>(
  client: Client,
): Client {
  client.on("error", () => {});
  return client;
}

function nodeRedisOptions({ port, username, password, ca }: Address) {
  return {
    socket: ca === undefined ? { host, port } : { host, port, tls: true as const, ca },
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
  };
}

function ioRedisOptions({ port, username, password, ca }: Address) {
  return {
    host,
    port,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(ca === undefined ? {} : { tls: { ca } }),
  };
}

function glideOptions({ port, username, password, ca }: Address): GlideClientConfiguration {
  return {
    addresses: [{ host, port }],
    requestTimeout: 2000,
    ...(username === undefined || password === undefined
      ? {}
      : { credentials: { username, password } }),
    ...(ca === undefined
      ? {}
      : {
          useTLS: true,
          advancedConfiguration: { tlsAdvancedConfiguration: { rootCertificates: ca } },
        }),
  };
}

/** The timer of a pool holds the process, also when it was closed. */
export const poolOptions = { cleanupDelay: 100 };

async function open4(address: Address): Promise<Opened> {
  const client = quiet(redis4.createClient(nodeRedisOptions(address)));
  await client.connect();
  return { client, close: () => client.disconnect() };
}

async function open5(address: Address, options: redis5.RedisClientOptions = {}): Promise<Opened> {
  const client = quiet(redis5.createClient({ ...nodeRedisOptions(address), ...options }));
  await client.connect();
  return { client, close: () => client.destroy() };
}

async function open6(address: Address, options: redis6.RedisClientOptions = {}): Promise<Opened> {
  const client = quiet(redis6.createClient({ ...nodeRedisOptions(address), ...options }));
  await client.connect();
  return { client, close: () => client.destroy() };
}

function opened<Client extends RedisClient & { disconnect(): void }>(client: Client): Opened {
  return { client, close: () => client.disconnect() };
}

async function openGlide(
  address: Address,
  options: Partial<GlideClientConfiguration> = {},
): Promise<Opened> {
  const client = await GlideClient.createClient({ ...glideOptions(address), ...options });
  return { client, close: () => client.close() };
}

/** One of each client, as most apps create it. */
export const plain: readonly Way<Address>[] = [
  { name: "redis 4", open: (address) => open4(address) },
  { name: "redis 5", open: (address) => open5(address) },
  { name: "redis 6", open: (address) => open6(address) },
  {
    name: "ioredis 5",
    open: async (address) => opened(quiet(new Redis5(ioRedisOptions(address)))),
  },
  {
    name: "ioredis 6",
    open: async (address) => opened(quiet(new Redis6(ioRedisOptions(address)))),
  },
  { name: "iovalkey", open: async (address) => opened(quiet(new Valkey(ioRedisOptions(address)))) },
  { name: "valkey-glide", open: (address) => openGlide(address) },
];

/** Every way to reach one server. */
export const singles: readonly Way<Address>[] = [
  ...plain,
  { name: "redis 5 with RESP3", open: (address) => open5(address, { RESP: 3 }) },
  {
    name: "redis 6 with RESP2",
    async open(address) {
      const client = quiet(redis6.createClient({ ...nodeRedisOptions(address), RESP: 2 }));
      await client.connect();
      return { client, close: () => client.destroy() };
    },
  },
  { name: "redis 6 with keyPrefix", keyPrefix, open: (address) => open6(address, { keyPrefix }) },
  {
    // The client made of the other one says nothing of Buffers, and gives them all the same.
    name: "redis 5 set to Buffers, with withCommandOptions()",
    async open(address) {
      const typeMapping = { [redis5.RESP_TYPES.BLOB_STRING]: Buffer };
      const options = { ...nodeRedisOptions(address), commandOptions: { typeMapping } };
      const client = quiet(redis5.createClient(options));
      await client.connect();
      return { client: client.withCommandOptions({}), close: () => client.destroy() };
    },
  },
  {
    name: "redis 6 set to Buffers",
    async open(address) {
      const client = quiet(redis6.createClient(nodeRedisOptions(address)));
      await client.connect();
      const typed = client.withTypeMapping({ [redis6.RESP_TYPES.BLOB_STRING]: Buffer });
      return { client: typed, close: () => client.destroy() };
    },
  },
  {
    name: "redis 5 pool",
    async open(address) {
      const client = quiet(redis5.createClientPool(nodeRedisOptions(address), poolOptions));
      await client.connect();
      return { client, close: () => client.destroy() };
    },
  },
  {
    name: "redis 6 pool with keyPrefix",
    keyPrefix,
    async open(address) {
      const client = quiet(
        redis6.createClientPool({ ...nodeRedisOptions(address), keyPrefix }, poolOptions),
      );
      await client.connect();
      return { client, close: () => client.destroy() };
    },
  },
  {
    name: "ioredis 5 with keyPrefix and autopipelining",
    keyPrefix,
    open: async (address) =>
      opened(
        quiet(new Redis5({ ...ioRedisOptions(address), keyPrefix, enableAutoPipelining: true })),
      ),
  },
  {
    name: "ioredis 6 with keyPrefix, autopipelining, lazyConnect",
    keyPrefix,
    open: async (address) =>
      opened(
        quiet(
          new Redis6({
            ...ioRedisOptions(address),
            keyPrefix,
            enableAutoPipelining: true,
            lazyConnect: true,
          }),
        ),
      ),
  },
  {
    name: "ioredis 6 with stringNumbers",
    open: async (address) =>
      opened(quiet(new Redis6({ ...ioRedisOptions(address), stringNumbers: true }))),
  },
  {
    name: "iovalkey with stringNumbers",
    open: async (address) =>
      opened(quiet(new Valkey({ ...ioRedisOptions(address), stringNumbers: true }))),
  },
  {
    name: "iovalkey with keyPrefix and autopipelining",
    keyPrefix,
    open: async (address) =>
      opened(
        quiet(new Valkey({ ...ioRedisOptions(address), keyPrefix, enableAutoPipelining: true })),
      ),
  },
  {
    name: "valkey-glide reading from replicas, with Buffers",
    open: (address) => openGlide(address, { readFrom: "preferReplica", defaultDecoder: 0 }),
  },
];

function seeds(addresses: readonly Address[]): { host: string; port: number }[] {
  return addresses.map(({ port }) => ({ host, port }));
}

/** The user of all nodes; they have the same. */
function userOf([first]: readonly Address[]): { username?: string; password?: string } {
  const { username, password } = first ?? {};
  return username === undefined || password === undefined ? {} : { username, password };
}

/**
 * The options of a cluster of node-redis, and how it ends: closed after a failover, it may forget one
 * of its clients, which would connect again for ever.
 */
function nodeRedisCluster(addresses: readonly Address[]) {
  let isOpen = true;
  const reconnectStrategy = (retries: number) =>
    isOpen ? Math.min(50 * 2 ** retries, 2000) : new Error("the cluster was closed");
  return {
    options: {
      rootNodes: addresses.map(({ port }) => ({ socket: { host, port } })),
      defaults: { ...userOf(addresses), socket: { reconnectStrategy } },
    },
    ending: (close: () => unknown) => () => {
      isOpen = false;
      return close();
    },
  };
}

function ioRedisCluster(addresses: readonly Address[]) {
  return { redisOptions: userOf(addresses) };
}

function glideCluster(addresses: readonly Address[]): GlideClusterClientConfiguration {
  const [first] = addresses as [Address, ...Address[]];
  return { ...glideOptions(first), addresses: seeds(addresses) };
}

/** Every way to reach a cluster. */
export const clusters: readonly Way<readonly Address[]>[] = [
  {
    name: "redis 4",
    async open(addresses) {
      const { options, ending } = nodeRedisCluster(addresses);
      const client = quiet(redis4.createCluster(options));
      await client.connect();
      return { client, close: ending(() => client.disconnect()) };
    },
  },
  {
    name: "redis 4 with useReplicas",
    async open(addresses) {
      const { options, ending } = nodeRedisCluster(addresses);
      const client = quiet(redis4.createCluster({ ...options, useReplicas: true }));
      await client.connect();
      return { client, close: ending(() => client.disconnect()) };
    },
  },
  {
    name: "redis 5 with useReplicas",
    async open(addresses) {
      const { options, ending } = nodeRedisCluster(addresses);
      const client = quiet(redis5.createCluster({ ...options, useReplicas: true }));
      await client.connect();
      return { client, close: ending(() => client.destroy()) };
    },
  },
  {
    name: "redis 6",
    async open(addresses) {
      const { options, ending } = nodeRedisCluster(addresses);
      const client = quiet(redis6.createCluster(options));
      await client.connect();
      return { client, close: ending(() => client.destroy()) };
    },
  },
  {
    name: "redis 6 with RESP2, keyPrefix, useReplicas, minimizeConnections",
    keyPrefix,
    async open(addresses) {
      const { options, ending } = nodeRedisCluster(addresses);
      const client = quiet(
        redis6.createCluster({
          ...options,
          RESP: 2,
          keyPrefix,
          useReplicas: true,
          minimizeConnections: true,
        }),
      );
      await client.connect();
      return { client, close: ending(() => client.destroy()) };
    },
  },
  {
    name: "ioredis 5",
    open: async (addresses) =>
      opened(quiet(new Cluster5(seeds(addresses), ioRedisCluster(addresses)))),
  },
  {
    name: "ioredis 5 with scaleReads, keyPrefix, autopipelining and stringNumbers",
    keyPrefix,
    open: async (addresses) =>
      opened(
        quiet(
          new Cluster5(seeds(addresses), {
            scaleReads: "slave",
            keyPrefix,
            enableAutoPipelining: true,
            redisOptions: { stringNumbers: true },
          }),
        ),
      ),
  },
  {
    name: "ioredis 6 with scaleReads, keyPrefix and autopipelining",
    keyPrefix,
    open: async (addresses) =>
      opened(
        quiet(
          new Cluster6(seeds(addresses), {
            scaleReads: "all",
            redisOptions: { keyPrefix },
            enableAutoPipelining: true,
          }),
        ),
      ),
  },
  {
    name: "ioredis 6",
    open: async (addresses) =>
      opened(quiet(new Cluster6(seeds(addresses), ioRedisCluster(addresses)))),
  },
  {
    name: "iovalkey with scaleReads and autopipelining",
    open: async (addresses) =>
      opened(
        quiet(
          new ValkeyCluster(seeds(addresses), {
            scaleReads: "slave",
            enableAutoPipelining: true,
          }),
        ),
      ),
  },
  {
    name: "valkey-glide reading from replicas",
    async open(addresses) {
      const options = { ...glideCluster(addresses), readFrom: "preferReplica" as const };
      const client = await GlideClusterClient.createClient(options);
      return { client, close: () => client.close() };
    },
  },
];

/** One of each family, as a user who may not do everything. */
export const limitedClusters = clusters.filter(({ name }) =>
  ["redis 4", "redis 6", "ioredis 5", "ioredis 6", "valkey-glide reading from replicas"].includes(
    name,
  ),
);

/** Every way to reach a primary through sentinels. */
export const sentinels: readonly Way<Watched>[] = [
  {
    name: "redis 5 with replicaPoolSize",
    async open({ name, sentinels }) {
      const client = quiet(
        redis5.createSentinel({
          name,
          sentinelRootNodes: seeds(sentinels),
          replicaPoolSize: 2,
        }),
      );
      await client.connect();
      return { client, close: () => client.destroy() };
    },
  },
  {
    name: "redis 6",
    async open({ name, sentinels }) {
      const client = quiet(redis6.createSentinel({ name, sentinelRootNodes: seeds(sentinels) }));
      await client.connect();
      return { client, close: () => client.destroy() };
    },
  },
  {
    name: "redis 6 with RESP2, keyPrefix and replicaPoolSize",
    keyPrefix,
    async open({ name, sentinels }) {
      const client = quiet(
        redis6.createSentinel({
          name,
          sentinelRootNodes: seeds(sentinels),
          RESP: 2,
          keyPrefix,
          replicaPoolSize: 1,
        }),
      );
      await client.connect();
      return { client, close: () => client.destroy() };
    },
  },
  {
    name: "ioredis 5",
    open: async ({ name, sentinels }) =>
      opened(quiet(new Redis5({ name, sentinels: seeds(sentinels) }))),
  },
  {
    name: "ioredis 6 with keyPrefix",
    keyPrefix,
    open: async ({ name, sentinels }) =>
      opened(quiet(new Redis6({ name, sentinels: seeds(sentinels), keyPrefix }))),
  },
  {
    name: "iovalkey",
    open: async ({ name, sentinels }) =>
      opened(quiet(new Valkey({ name, sentinels: seeds(sentinels) }))),
  },
];
