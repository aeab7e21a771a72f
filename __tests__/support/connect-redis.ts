import { RedisStore as Store10 } from "connect-redis";
import session, { type SessionData, type Store } from "express-session";
import { url } from "./store.js";

/** A store of another package, with every method that this one may be compared by. */
type OldStore = Store & {
  touch(
    sid: string,
    session: SessionData,
    callback: (error: unknown, result?: unknown) => void,
  ): void;
};

/** A store of one major of connect-redis with a client of that time, and how to end the client. */
export interface Old {
  readonly store: OldStore;
  readonly close: () => Promise<void> | void;
}

type Options = Record<string, unknown>;
type StoreClass = new (options: Options) => OldStore;

/** A client of redis 2 or 3. */
export interface OldClient {
  readonly ready: boolean;
  quit(callback?: () => void): unknown;
  end(flush: boolean): void;
  on(event: string, listener: (error: Error) => void): OldClient;
}
type CreateOldClient = (url: string, options?: object) => OldClient;

/** `createClient` of redis 2 or 3. */
export function oldRedis(major: 2 | 3): CreateOldClient {
  const found: unknown = major === 2 ? require("redis2") : require("redis3");
  return (found as { createClient: CreateOldClient }).createClient;
}

type Factory = (session: unknown) => StoreClass;

// Each by its full name: so the check for unused packages finds them.
const PACKAGES = {
  1: () => require("connect-redis-1") as Factory,
  2: () => require("connect-redis-2") as Factory,
  3: () => require("connect-redis-3") as Factory,
  4: () => require("connect-redis-4") as Factory,
  5: () => require("connect-redis-5") as Factory,
  6: () => require("connect-redis-6") as Factory,
  6.1: () => require("connect-redis-6.1") as Factory,
};
const CLASSES = {
  7: () => (require("connect-redis-7") as { default: StoreClass }).default,
  8: () => (require("connect-redis-8") as { RedisStore: StoreClass }).RedisStore,
  9: () => (require("connect-redis-9") as { RedisStore: StoreClass }).RedisStore,
  10: () => Store10 as unknown as StoreClass,
};

/** The factory that a version from before 7 is. */
export function factoryOf(version: keyof typeof PACKAGES): Factory {
  return PACKAGES[version]();
}

const REDIS = new URL(url || "redis://127.0.0.1");

interface NewClient {
  readonly isOpen: boolean;
  connect(): Promise<unknown>;
  on(event: string, listener: () => void): unknown;
  destroy?(): void;
  disconnect?(): Promise<unknown>;
}

async function promised(name: string, options: object = {}): Promise<NewClient> {
  const { createClient } = require(name) as { createClient: (options: object) => NewClient };
  const client = createClient({ url, ...options });
  client.on("error", () => {});
  await client.connect();
  return client;
}

/** Ends a client of redis 4 or newer. */
async function end(client: NewClient): Promise<void> {
  if (!client.isOpen) return;
  if (client.destroy) client.destroy();
  else await client.disconnect?.();
}

/** A client that apps passed to connect-redis 4 to 6, by the name that a test gives it. */
export async function callbackClient(
  kind: "redis 2" | "redis 3" | "redis 4 in legacyMode" | "ioredis 4",
  address = url,
): Promise<{ client: object; close: () => Promise<void> | void }> {
  if (kind === "redis 4 in legacyMode") {
    const client = await promised("redis4", { url: address, legacyMode: true });
    return { client, close: () => end(client) };
  }
  if (kind === "ioredis 4") {
    const Redis = require("ioredis4") as new (url: string) => { disconnect(): void };
    const client = new Redis(address);
    return { client, close: () => client.disconnect() };
  }
  const client = oldRedis(kind === "redis 2" ? 2 : 3)(address);
  return { client, close: () => client.end(false) };
}

/** A store of connect-redis `major`, as an app of its time made it. */
export async function oldStore(
  major: Exclude<keyof typeof PACKAGES, 6.1> | keyof typeof CLASSES,
  options: Options = {},
): Promise<Old> {
  switch (major) {
    case 1:
    case 2:
    case 3: {
      // Version 1 says `new require("redis")`, and the require of jest is no constructor.
      const given = major === 1 ? { client: oldRedis(2)(url) } : {};
      const where = { host: REDIS.hostname, port: REDIS.port };
      const store = new (factoryOf(major)(session))({ ...given, ...where, ...options });
      const { client } = store as unknown as { client: OldClient };
      return { store, close: () => client.end(false) };
    }
    case 4:
    case 5:
    case 6: {
      const kinds = { 4: "redis 2", 5: "redis 3", 6: "redis 4 in legacyMode" } as const;
      const { client, close } = await callbackClient(kinds[major]);
      return { store: new (factoryOf(major)(session))({ client, ...options }), close };
    }
    case 7:
    case 8:
    case 9:
    case 10: {
      const client = await promised(major <= 8 ? "redis4" : "redis5");
      return { store: new (CLASSES[major]())({ client, ...options }), close: () => end(client) };
    }
  }
}
