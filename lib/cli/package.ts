// Makes a client with the package that the app has.
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { RedisClient } from "../client/index.js";
import type { Address } from "./address.js";
import { usage } from "./failure.js";

/** The packages that can be told an address; the app has at least one of them. */
const PACKAGES = ["redis", "ioredis", "iovalkey"] as const;

/**
 * A client that is not connected yet, and does not try again.
 *
 * @param folder - of the app
 * @param patience - how long a connection may take, in ms
 */
export async function clientFor(
  address: Address,
  isCluster: boolean,
  folder: string,
  patience: number,
): Promise<RedisClient> {
  for (const name of PACKAGES) {
    const path = pathOf(name, folder);
    if (path === undefined) continue;
    const library = (await import(pathToFileURL(path).href)) as Library;
    const client = clientOf(library, address, isCluster, patience);
    if (client !== undefined) return client;
  }
  throw usage(
    `no client package in ${folder}: run the command in the app's folder, or npm install one of ${PACKAGES.join(", ")}`,
  );
}

function pathOf(name: string, folder: string): string | undefined {
  try {
    const path = createRequire(join(folder, "package.json")).resolve(name);
    return name === "redis" ? withoutModules(path) : path;
  } catch {
    return undefined;
  }
}

/** What "redis" is made of: the client alone begins sooner than with its modules. */
function withoutModules(redis: string): string {
  try {
    return createRequire(redis).resolve("@redis/client");
  } catch {
    return redis;
  }
}

/** What the packages export, as far as the command uses it. */
interface Library {
  readonly default?: unknown;
  readonly createClient?: (options: object) => RedisClient;
  readonly createCluster?: (options: object) => RedisClient;
}

interface IoRedis {
  new (address: string, options: object): RedisClient;
  readonly Cluster: new (addresses: string[], options: object) => RedisClient;
}

function clientOf(
  library: Library,
  address: Address,
  isCluster: boolean,
  patience: number,
): RedisClient | undefined {
  const { href: url, user, isSecure: tls } = address;
  if (typeof library.createClient === "function") {
    const socket = { reconnectStrategy: false, connectTimeout: patience };
    if (!isCluster) return library.createClient({ url, socket });
    // The nodes of a cluster are found by address; the user is in the URL of the first.
    const defaults = { ...user, socket: { ...socket, tls } };
    return library.createCluster?.({ rootNodes: [{ url }], defaults });
  }
  const made = library.default as (IoRedis & { default?: IoRedis }) | undefined;
  const Redis = made?.default ?? made;
  if (typeof Redis !== "function") return undefined;
  const lazyConnect = true;
  return isCluster
    ? new Redis.Cluster([url], { lazyConnect, clusterRetryStrategy: () => null })
    : new Redis(url, { lazyConnect, connectTimeout: patience, retryStrategy: () => null });
}
