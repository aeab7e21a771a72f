// Makes the store that the command works on: by an address, or as the app makes its own.
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { type RedisClient, type ServerOf, serversOf } from "../client/index.js";
import { RedisStore, type RedisStoreOptions } from "../index.js";
import { Address } from "./address.js";
import type { Console } from "./console.js";
import { Failure, usage } from "./failure.js";
import { clientFor } from "./package.js";

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

/** Connects, and throws a `Failure` where that is not possible. */
export async function connect(where: Where, terminal: Console): Promise<Connection> {
  const { config, url, cluster, prefix } = where;
  const address = config === undefined ? new Address(url, terminal.env) : undefined;
  const options: RedisStoreOptions = {
    ...(address === undefined
      ? await configured(config as string, terminal)
      : { client: await clientFor(address, cluster, terminal.folder, PATIENCE) }),
    ...(prefix === undefined ? {} : { prefix }),
  };
  let store: RedisStore;
  try {
    store = new RedisStore(options);
  } catch (error) {
    throw usage((error as Error).message);
  }
  store.on("error", () => {});
  const place = String(address ?? "the app's configuration");
  // Some clients tell by their event alone why a connection came to nothing.
  let complaint: unknown;
  const complain = (error: unknown) => {
    complaint = error;
  };
  try {
    await inTime(opened(options.client, complain));
    await store.ping();
    const servers = await inTime(serversOf(options.client));
    const found = servers.map((one) => one.address).join(", ");
    return { store, options, address: String(address ?? `${found}, by ${config}`), servers };
  } catch (error) {
    const words = [...new Set([said(error), said(complaint)])].filter(Boolean).join(": ");
    throw new Failure(3, `no connection to ${place}: ${address?.without(words) ?? words}`);
  }
}

/** What a client says of its failure. */
function said(error: unknown): string {
  const { message, code, cause } = (error ?? {}) as {
    message?: string;
    code?: string;
    cause?: unknown;
  };
  const inner = (cause as { message?: string } | undefined)?.message;
  return inner && !message?.includes(inner) ? `${message} (${inner})` : message || code || "";
}

/** What the app's module says. */
async function configured(file: string, { folder }: Console): Promise<RedisStoreOptions> {
  const path = resolve(folder, file);
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
  return options as RedisStoreOptions;
}

/** Connects a client that waits for that. */
async function opened(client: RedisClient, complain: (error: unknown) => void): Promise<void> {
  const { on, connect, isOpen, status } = client as {
    on?: (event: string, listener: (error: unknown) => void) => unknown;
    connect?: () => Promise<unknown>;
    isOpen?: boolean;
    status?: string;
  };
  on?.call(client, "error", complain);
  if (isOpen === false || status === "wait") await connect?.call(client);
}

function inTime<Result>(promise: Promise<Result>): Promise<Result> {
  return new Promise((fulfil, reject) => {
    const late = () => reject(new Error(`no answer within ${PATIENCE / 1000} s`));
    const timer = setTimeout(late, PATIENCE);
    promise.then(fulfil, reject).finally(() => clearTimeout(timer));
  });
}
