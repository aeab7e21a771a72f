import { RedisStore as Store10 } from "connect-redis";
import session, { type SessionData, type Store } from "express-session";
import { url } from "./store.js";

/** A store of another package, with every method that this one may be compared by. */
export type OldStore = Store & {
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
  return (require(`redis${major}`) as { createClient: CreateOldClient }).createClient;
}

/** The class of a major from before 7: its factory over express-session. */
export function factoryOf(major: number): (session: unknown) => StoreClass {
  return require(`connect-redis-${major}`) as (session: unknown) => StoreClass;
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
): Promise<{ client: object; close: () => Promise<void> | void }> {
  if (kind === "redis 4 in legacyMode") {
    const client = await promised("redis4", { legacyMode: true });
    return { client, close: () => end(client) };
  }
  if (kind === "ioredis 4") {
    const Redis = require("ioredis4") as new (url: string) => { disconnect(): void };
    const client = new Redis(url);
    return { client, close: () => client.disconnect() };
  }
  const client = oldRedis(kind === "redis 2" ? 2 : 3)(url);
  return { client, close: () => client.end(false) };
}

/** A store of connect-redis `major`, as an app of its time made it. */
export async function oldStore(major: number, options: Options = {}): Promise<Old> {
  if (major <= 3) {
    const OldRedisStore = factoryOf(major)(session);
    // Version 1 says `new require("redis")`, and the require of jest is no constructor.
    const given = major === 1 ? { client: oldRedis(2)(url) } : {};
    const where = { host: REDIS.hostname, port: REDIS.port };
    const store = new OldRedisStore({ ...given, ...where, ...options });
    const { client } = store as unknown as { client: OldClient };
    return { store, close: () => client.end(false) };
  }
  if (major <= 6) {
    const kinds = { 4: "redis 2", 5: "redis 3", 6: "redis 4 in legacyMode" } as const;
    const { client, close } = await callbackClient(kinds[major as 4 | 5 | 6]);
    return { store: new (factoryOf(major)(session))({ client, ...options }), close };
  }
  const client = await promised(major <= 8 ? "redis4" : "redis5");
  const RedisStore =
    major === 10
      ? (Store10 as unknown as StoreClass)
      : major === 7
        ? (require("connect-redis-7") as { default: StoreClass }).default
        : (require(`connect-redis-${major}`) as { RedisStore: StoreClass }).RedisStore;
  return { store: new RedisStore({ client, ...options }), close: () => end(client) };
}
