// Creates the client that an old app asks the store for.
import { StoreError, shown } from "../base/index.js";
import type { NodeRedisClient } from "../client/index.js";

/** Where the Redis is, and how to get in, as connect-redis 1 to 3 took it. */
export interface ConnectionOptions {
  /** @default "127.0.0.1" */
  host?: string | undefined;
  /** @default 6379 */
  port?: number | string | undefined;
  /** The path of a Unix socket; or an object: the option `socket` of the package redis. */
  socket?: string | object | undefined;
  /** `redis://:password@host:port/db`, or `rediss:` for TLS. A user name in it is not used. */
  url?: string | undefined;
  /** The password. */
  pass?: string | undefined;
  /** The number of the database. */
  db?: number | string | undefined;
  /** Whether the process may end while the connection is open. */
  unref?: boolean | undefined;
}

/** Names that the package redis had for the same, up to version 3, and that the apps passed. */
interface OldClientOptions {
  path?: string;
  password?: string;
  auth_pass?: string;
  tls?: unknown;
  family?: unknown;
  enable_offline_queue?: unknown;
  retry_strategy?: (state: {
    attempt: number;
    error: Error;
    total_retry_time: number;
    times_connected: number;
  }) => unknown;
}

/** What the store uses of the client that it made. */
export interface OwnClient extends NodeRedisClient {
  connect(): Promise<unknown>;
  unref(): void;
  // Version 4
  quit?(): Promise<unknown>;
  disconnect?(): Promise<unknown>;
  // Versions 5 and 6
  close?(): Promise<unknown>;
  destroy?(): void;
}

type Load = (name: string) => unknown;

/** Creates a client of the package redis; it is not connected yet. */
export function createOwnClient(load: Load, options: Record<string, unknown>): OwnClient {
  const client = packageRedis(load).createClient(clientOptions(options));
  if (options.unref) client.unref();
  return client;
}

/** Ends the connection; waits for commands under way where there is one. */
export async function closeOwnClient(client: OwnClient): Promise<void> {
  if (!client.isOpen) return;
  if (client.isReady) await (client.close ? client.close() : client.quit?.());
  else await (client.destroy ? client.destroy() : client.disconnect?.());
}

interface RedisPackage {
  createClient(options: object): OwnClient;
  /** Only since version 4. */
  readonly createCluster?: unknown;
}

function packageRedis(load: Load): RedisPackage {
  const redis = tryLoad(load);
  if (redis !== undefined && typeof redis.createCluster === "function") return redis;
  const why = redis ? "the one installed is older" : "which is not installed";
  throw new StoreError(
    "ERR_INVALID_OPTION",
    `without the option "client" the store makes a client of the package redis, version 4 or newer; ${why}: npm install redis@latest, or pass a client`,
  );
}

function tryLoad(load: Load): RedisPackage | undefined {
  try {
    return load("redis") as RedisPackage;
  } catch (error) {
    if ((error as { code?: unknown }).code === "MODULE_NOT_FOUND") return undefined;
    throw error;
  }
}

/** The options of the package redis, version 4 or newer, for those of the old one. */
function clientOptions(all: Record<string, unknown>): object {
  const { host, port, socket, url, pass, db, unref: _, ...others } = all as ConnectionOptions;
  const { path, password, auth_pass, tls, family, enable_offline_queue, retry_strategy, ...rest } =
    others as OldClientOptions;
  // Versions 2 and 3 took a url as socket too, and a path as url.
  const address = url ?? (typeof socket === "string" ? socket : path);
  const from = address === undefined ? {} : addressIn(address);
  const secret = pass ?? password ?? auth_pass ?? from.password;
  const database = db ?? from.db;
  // What the address says does not replace what a certificate is checked against.
  const secure = from.tls || tls ? { ...(typeof tls === "object" ? tls : {}), tls: true } : {};
  const where = from.path
    ? { path: from.path }
    : {
        host: from.host ?? host ?? "127.0.0.1",
        port: whole("port", from.port ?? port ?? 6379),
      };
  const strategy = typeof retry_strategy === "function" ? reconnectStrategy(retry_strategy) : {};
  return {
    ...rest,
    ...(secret ? { password: String(secret) } : {}),
    ...(database === undefined || database === null ? {} : { database: whole("db", database) }),
    ...(enable_offline_queue === false ? { disableOfflineQueue: true } : {}),
    socket: {
      ...(typeof socket === "object" && "host" in socket ? {} : where),
      ...secure,
      ...(family ? { family: family === "IPv6" ? 6 : family === "IPv4" ? 4 : family } : {}),
      ...strategy,
      ...(typeof socket === "object" ? socket : {}),
    },
  };
}

interface Address {
  host?: string;
  port?: string;
  path?: string;
  password?: string;
  db?: string;
  tls?: boolean;
}

/** What a url says, or the path of a Unix socket. */
function addressIn(text: string): Address {
  if (!text.includes("//")) return { path: text };
  // Versions 1 to 3 took "//host" too.
  const url = parsed(text.startsWith("//") ? `redis:${text}` : text);
  if (url.protocol === "unix:") return { path: decodeURIComponent(url.pathname) };
  if (url.protocol !== "redis:" && url.protocol !== "rediss:") {
    throw new StoreError(
      "ERR_INVALID_OPTION",
      `the option "url" must begin with redis:// or rediss://, got ${shown(url.protocol)}`,
    );
  }
  const db = url.searchParams.get("db") || url.pathname.replace("/", "");
  const password = url.searchParams.get("password") || decodeURIComponent(url.password);
  return {
    ...(url.hostname ? { host: url.hostname.replace(/^\[|\]$/g, "") } : {}),
    ...(url.port ? { port: url.port } : {}),
    ...(password ? { password } : {}),
    ...(db ? { db } : {}),
    ...(url.protocol === "rediss:" ? { tls: true } : {}),
  };
}

function parsed(text: string): URL {
  try {
    return new URL(text);
  } catch {
    // Neither the text nor the error that names it: a password is in there.
    throw new StoreError("ERR_INVALID_OPTION", 'the option "url" is not a url');
  }
}

function whole(name: string, value: number | string): number {
  const number = typeof value === "string" && value.trim() === "" ? Number.NaN : Number(value);
  if (Number.isInteger(number) && number >= 0) return number;
  throw new StoreError(
    "ERR_INVALID_OPTION",
    `the option "${name}" must be a whole number, got ${shown(value)}`,
  );
}

/** The app's `retry_strategy` in the form of the newer package: ms to wait, or an error to give up. */
function reconnectStrategy(strategy: NonNullable<OldClientOptions["retry_strategy"]>) {
  let since = 0;
  return {
    reconnectStrategy: (retries: number, error: Error): number | Error => {
      if (retries === 0) since = Date.now();
      const answer = strategy({
        attempt: retries + 1,
        error,
        total_retry_time: Date.now() - since,
        times_connected: 0,
      });
      if (typeof answer === "number") return answer;
      return answer instanceof Error ? answer : error;
    },
  };
}
