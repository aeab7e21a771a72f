// Makes the store that the command works on: by an address, or as the app makes its own.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { type RedisClient, type ServerOf, serversOf } from "../client/index.js";
import { RedisStore, type RedisStoreOptions } from "../index.js";
import type { Console } from "./console.js";
import { Failure, usage } from "./failure.js";

/** What the command line says of the connection. */
export interface Where {
  readonly url: string | undefined;
  readonly cluster: boolean;
  readonly config: string | undefined;
  readonly prefix: string | undefined;
}

/** A store, and the servers that it is on. */
export interface Connection {
  readonly store: RedisStore;
  readonly options: RedisStoreOptions;
  /** The servers, the way to which has no password in it. */
  readonly address: string;
  readonly servers: ServerOf[];
}

/** How long a connection may take, in ms. */
const PATIENCE = 5000;

/** The packages that can be told an address; the app has at least one of them. */
const PACKAGES = ["redis", "ioredis", "iovalkey"] as const;

/** Connects, and throws a `Failure` where that is not possible. */
export async function connect(where: Where, terminal: Console): Promise<Connection> {
  const options = where.config
    ? await configured(where, where.config, terminal)
    : await addressed(where, terminal);
  let store: RedisStore;
  try {
    store = new RedisStore(options);
  } catch (error) {
    throw usage((error as Error).message);
  }
  store.on("error", () => {});
  const address = where.config
    ? "the app's configuration"
    : shownAddress(addressOf(where, terminal));
  try {
    await inTime(opened(options.client));
    await store.ping();
    return { store, options, address, servers: await inTime(serversOf(options.client)) };
  } catch (error) {
    throw new Failure(3, `no connection to ${address}: ${said(error, where, terminal)}`);
  }
}

/** The address with its password taken out. */
function shownAddress(address: string): string {
  const url = new URL(address);
  const user = url.username ? `${url.username}@` : "";
  return `${url.protocol}//${user}${url.host}${url.pathname === "/" ? "" : url.pathname}`;
}

/** A sentence of a client, in which nothing of the password is left. */
function said(error: unknown, where: Where, terminal: Console): string {
  const { message, code, cause } = error as { message?: string; code?: string; cause?: unknown };
  const inner = (cause as { message?: string } | undefined)?.message;
  const text = inner && !message?.includes(inner) ? `${message} (${inner})` : message || code || "";
  if (where.config !== undefined) return text;
  const { password } = new URL(addressOf(where, terminal));
  return [password, decodeURIComponent(password)]
    .filter((secret) => secret !== "")
    .reduce((clean, secret) => clean.replaceAll(secret, "***"), text);
}

function addressOf({ url }: Where, { env }: Console): string {
  const address = url ?? env.REDIS_URL ?? "redis://127.0.0.1:6379";
  let parsed: URL;
  try {
    parsed = new URL(address);
  } catch {
    throw usage('the address must be like "redis://host:6379"; what was given is none');
  }
  if (!/^(redis|rediss|valkey|valkeys):$/.test(parsed.protocol)) {
    throw usage('the address must begin with "redis://" or "rediss://"');
  }
  if (url !== undefined && parsed.password !== "") {
    throw usage(
      "--url has a password, which everyone sees who lists processes: put the address into REDIS_URL",
    );
  }
  parsed.protocol = parsed.protocol.replace("valkey", "redis");
  return parsed.href;
}

async function addressed(where: Where, terminal: Console): Promise<RedisStoreOptions> {
  const address = addressOf(where, terminal);
  const prefix = where.prefix === undefined ? {} : { prefix: where.prefix };
  const require = createRequire(join(terminal.folder, "package.json"));
  for (const name of PACKAGES) {
    let path: string;
    try {
      path = require.resolve(name);
    } catch {
      continue;
    }
    const library = (await import(pathToFileURL(path).href)) as Library;
    const client = clientOf(library, address, where.cluster);
    if (client !== undefined) return { client, ...prefix };
  }
  throw usage(
    `no client package in ${terminal.folder}: run the command in the app's folder, or npm install one of ${PACKAGES.join(", ")}`,
  );
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

function clientOf(library: Library, url: string, isCluster: boolean): RedisClient | undefined {
  const socket = { reconnectStrategy: false, connectTimeout: PATIENCE };
  if (typeof library.createClient === "function") {
    return isCluster
      ? library.createCluster?.({ rootNodes: [{ url }], defaults: optionsOf(url, socket) })
      : library.createClient({ url, socket });
  }
  const made = library.default as (IoRedis & { default?: IoRedis }) | undefined;
  const Redis = made?.default ?? made;
  if (typeof Redis !== "function") return undefined;
  const options = { lazyConnect: true, connectTimeout: PATIENCE, retryStrategy: () => null };
  if (!isCluster) return new Redis(url, options);
  const { lazyConnect } = options;
  return new Redis.Cluster([url], { lazyConnect, clusterRetryStrategy: () => null });
}

/** The nodes of a cluster are found by address; the user is in the URL of the first. */
function optionsOf(address: string, socket: object): object {
  const { username, password, protocol } = new URL(address);
  return {
    ...(username ? { username: decodeURIComponent(username) } : {}),
    ...(password ? { password: decodeURIComponent(password) } : {}),
    socket: { ...socket, tls: protocol === "rediss:" },
  };
}

async function configured(
  { prefix }: Where,
  file: string,
  terminal: Console,
): Promise<RedisStoreOptions> {
  const path = resolve(terminal.folder, file);
  if (!existsSync(path)) throw usage(`there is no ${file}`);
  const module = (await import(pathToFileURL(path).href)) as { default?: unknown };
  // What CommonJS exports may be wrapped twice.
  const inner = (module.default as { default?: unknown } | undefined)?.default ?? module.default;
  const options: unknown = typeof inner === "function" ? await inner() : inner;
  if (typeof options !== "object" || options === null) {
    throw usage(
      `the default export of ${file} must be the options of the app's store, or a function that makes them`,
    );
  }
  return { ...(options as RedisStoreOptions), ...(prefix === undefined ? {} : { prefix }) };
}

/** Connects a client that waits for that; what it complains of is told by what fails. */
async function opened(client: RedisClient): Promise<void> {
  const { on, connect, isOpen, status } = client as {
    on?: (event: string, listener: () => void) => unknown;
    connect?: () => Promise<unknown>;
    isOpen?: boolean;
    status?: string;
  };
  on?.call(client, "error", () => {});
  if (isOpen === false || status === "wait") await connect?.call(client);
}

function inTime<Result>(promise: Promise<Result>): Promise<Result> {
  return new Promise((fulfil, reject) => {
    const late = () => reject(new Error(`no answer within ${PATIENCE / 1000} s`));
    const timer = setTimeout(late, PATIENCE);
    promise.then(fulfil, reject).finally(() => clearTimeout(timer));
  });
}
