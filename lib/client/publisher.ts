// Finds the servers that publish the events of a client's keys.
import { performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import { Deadline } from "./deadline.js";
import { type Command, type Primary, type Transport, Wait } from "./transport.js";

/** How often a client that is still connecting is asked whether it is there, in ms. */
const LOOK = 20;

/** What a subscriber is told. */
interface SubscriberEvents {
  readonly onMessage: (channel: string, message: string) => void;
  /** The connection is gone, and is not used again. */
  readonly onLost: () => void;
}

/** A connection of its own that listens. */
export interface Subscriber {
  /** Asks for a sign of life. */
  ping(): Promise<unknown>;
  close(): void;
}

/** Opens a connection that listens, once; resolves when the server has confirmed it. */
export type Subscribe = (pattern: string, events: SubscriberEvents) => Promise<Subscriber>;

/** An ability of some clients: a server that can be listened to. */
export interface Publisher {
  /** Host and port; for messages, and to tell the primaries of a cluster apart. */
  readonly address: string;
  readonly subscribe: Subscribe;
  /** Sends a command that names no key, or a whole one, to this very server. */
  send(command: Command): Promise<unknown>;
  /** Tells when another server may have taken its place; returns what stops that. */
  readonly onSwitch?: (listener: () => void) => () => void;
}

/** Makes another connection like one that the client has, or `undefined` where it cannot. */
export type SubscribeLike = (connection: object) => Subscribe | undefined;

/**
 * The servers that publish, as of now: all primaries of a cluster.
 *
 * @param timeout - for everything that is asked, in ms
 */
export function publishersOf(
  transport: Transport,
  client: object,
  like: SubscribeLike,
  timeout: number,
): (() => Promise<Publisher[]>) | undefined {
  const { primaries } = transport;
  const deadline = new Deadline({ timeout, host: () => transport.host() });
  /** Nobody waits for these. */
  const pings = new Deadline({ timeout, host: () => transport.host(), holdsProcess: false });
  const bound = <T>(answer: Promise<T>, name: string) => deadline.bound(answer, name);
  const send = (command: Command) => {
    // The client may still be connecting.
    const wait = transport.isReady() ? undefined : new Wait();
    const answer = transport.send(command, "", false, wait);
    return deadline.bound(answer, String(command[0]), () => ({
      isUnsent: wait !== undefined && !wait.end(),
    }));
  };
  const bounded = (subscribe: Subscribe): Subscribe => {
    return async (pattern, events) => {
      let isLate = false;
      const opening = subscribe(pattern, events).then((subscriber) => {
        if (isLate) subscriber.close();
        return subscriber;
      });
      const subscriber = await bound(opening, "PSUBSCRIBE").catch((error: unknown) => {
        isLate = true;
        throw error;
      });
      return { ...subscriber, ping: () => pings.bound(subscriber.ping(), "PING") };
    };
  };

  if (primaries === undefined) {
    const subscribe = like(client);
    if (subscribe === undefined) return undefined;
    const { onSwitch } = transport;
    const publisher: Publisher = {
      address: transport.host(),
      subscribe: bounded(subscribe),
      send,
      ...(onSwitch && { onSwitch: (listener) => onSwitch.call(transport, listener) }),
    };
    return async () => [publisher];
  }
  let isKnown = false;
  const known = async (): Promise<Primary[]> => {
    // A client that is connecting takes the nodes that it was given for primaries.
    const until = performance.now() + timeout / 2;
    while (!isKnown && !transport.isReady() && performance.now() < until) await delay(LOOK);
    isKnown = true;
    return primaries();
  };
  return async () => {
    const nodes = await bound(known(), "the question for the primaries");
    return Promise.all(
      nodes.map(async ({ address, send, connection }) => {
        const own = connection && (await bound(connection(), "the question for a connection"));
        const subscribe = own && like(own);
        return {
          address,
          subscribe: subscribe
            ? bounded(subscribe)
            : () => Promise.reject(new Error("no connection")),
          send: (command: Command) => bound(send(command), String(command[0])),
        };
      }),
    );
  };
}
