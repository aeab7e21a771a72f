// Opens connections that listen to what a server publishes.
import { setTimeout as delay } from "node:timers/promises";
import type { Subscribe } from "../publisher.js";

/** For so long pieces of one announcement may be apart, in ms. */
const MOMENT = 100;

/** What listening uses of a client of redis 4, 5 or 6: createClient or createSentinel. */
interface NodeRedisLike extends SubscribingLike {
  readonly options?: { readonly socket?: object } | undefined;
  duplicate(overrides: object): NodeRedisLike;
  connect(): Promise<unknown>;
  ping(): Promise<unknown>;
  on(event: string, listener: () => void): unknown;
  /** Versions 5 and 6. */
  destroy?(): unknown;
  /** Version 4. */
  disconnect?(): Promise<unknown>;
}

type MessageListener = (message: string, channel: string) => void;

/** What it uses of a sentinel of redis 5, which has a connection for this beside its others. */
interface SubscribingLike {
  pSubscribe(pattern: string, listener: MessageListener): Promise<unknown>;
  pUnsubscribe(pattern: string, listener: MessageListener): Promise<unknown>;
}

/** What it uses of a pool: a connection to make another one of. */
interface NodeRedisPoolLike {
  execute<T>(work: (client: NodeRedisLike) => T | Promise<T>): Promise<T>;
}

/** What it uses of a client of ioredis or iovalkey for one server. */
interface IoRedisLike {
  duplicate(overrides: object): IoRedisLike;
  connect(): Promise<unknown>;
  psubscribe(pattern: string): Promise<unknown>;
  ping(): Promise<unknown>;
  disconnect(): void;
  on(event: string, listener: (...args: string[]) => void): unknown;
}

/**
 * Listens over a duplicate of a node-redis client. It does not reconnect by itself: whoever listens
 * has to look after a server that started anew.
 */
export function nodeRedisSubscribe(source: NodeRedisLike): Subscribe {
  return async (pattern, { onMessage, onLost }) => {
    const client = source.duplicate({
      socket: { ...source.options?.socket, reconnectStrategy: false },
      disableOfflineQueue: false,
      clientSideCache: undefined,
    });
    const close = () => {
      try {
        if (client.destroy !== undefined) client.destroy();
        else client.disconnect?.().catch(() => {});
      } catch {
        // It is closed already.
      }
    };
    client.on("error", onLost);
    client.on("end", onLost);
    try {
      await client.connect();
      await client.pSubscribe(pattern, (message, channel) => onMessage(channel, message));
    } catch (error) {
      close();
      throw error;
    }
    return { ping: () => client.ping(), close };
  };
}

/** Listens over the connection that the client itself has for it, and looks after. */
export function nodeRedisSharedSubscribe(client: SubscribingLike): Subscribe {
  return async (pattern, { onMessage }) => {
    const listener: MessageListener = (message, channel) => onMessage(channel, message);
    await client.pSubscribe(pattern, listener);
    return {
      // Nothing can be asked over that connection: what was sent has come by then, most likely.
      ping: () => delay(MOMENT),
      close: () => void client.pUnsubscribe(pattern, listener).catch(() => {}),
    };
  };
}

/** Listens over a connection like those of a pool. */
export function nodeRedisPoolSubscribe(pool: NodeRedisPoolLike): Subscribe {
  return async (pattern, events) => {
    const subscribe = await pool.execute((client) => nodeRedisSubscribe(client));
    return subscribe(pattern, events);
  };
}

/** Listens over a duplicate of a client of ioredis or iovalkey, likewise. */
export function ioRedisSubscribe(source: IoRedisLike): Subscribe {
  return async (pattern, { onMessage, onLost }) => {
    const client = source.duplicate({
      lazyConnect: true,
      enableOfflineQueue: true,
      autoResubscribe: false,
      // Some versions put it in front of channels too.
      keyPrefix: "",
      retryStrategy: () => null,
      // After a failover of a sentinel set, the old primary is of no interest.
      failoverDetector: true,
    });
    client.on("error", () => {});
    client.on("end", onLost);
    client.on("pmessage", (_pattern, channel, message) =>
      onMessage(String(channel), String(message)),
    );
    try {
      await client.connect();
      await client.psubscribe(pattern);
    } catch (error) {
      client.disconnect();
      throw error;
    }
    return { ping: () => client.ping(), close: () => client.disconnect() };
  };
}
