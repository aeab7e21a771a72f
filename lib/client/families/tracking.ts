// Reads through a connection on which the server announces later changes.
import { performance } from "node:perf_hooks";
import { fromClient, StoreError } from "../../base/index.js";
import type { Value } from "../../session/index.js";
import { Deadline } from "../deadline.js";
import { type NodeRedisClient, overriding } from "./node-redis.js";

/** A value with the end of its key. */
export interface TrackedValue {
  readonly value: Value | null;
  /** Until when the key certainly lives, on the monotonic clock of this process; it may be over. */
  readonly until: number;
}

/** What a tracking connection tells its owner. */
export interface TrackingEvents {
  /** The server says that a key which was read here has changed; `null`: all of them. */
  onInvalidated(key: string | null): void;
  /** Nothing that was read is tracked any longer. */
  onLost(): void;
  /** The Redis user may not do what tracking needs; it is tried again much later. */
  onRefused(error: StoreError): void;
}

/**
 * An ability of some clients: reads through a connection on which the server announces every later
 * change of what was read (server-assisted client-side caching of Redis).
 */
export interface Tracker {
  /** What the client puts in front of every key. */
  readonly keyPrefix: string;
  /**
   * Whether all announcements have arrived, up to `PING_INTERVAL` + `timeout` ago.
   *
   * @param now - on the monotonic clock
   */
  isCoherent(now: number): boolean;
  /** Reads a key, and has the server announce its next change. */
  read(key: string): Promise<TrackedValue>;
  /** Ends the connection, if it is the tracker's own. */
  close(): void;
}

/** What tracking uses of a node-redis client beside commands. */
interface TrackableClient extends NodeRedisClient {
  duplicate(overrides: object): TrackableClient;
  connect(): Promise<unknown>;
  destroy(): void;
  unref(): void;
  on(event: string, listener: (argument: unknown) => void): unknown;
}

/** How often a tracking connection is asked whether it still is one, in ms. */
const PING_INTERVAL = 1000;

/** Before a user that may not track tries again, in ms: rights may be granted meanwhile. */
const REFUSED_INTERVAL = 60_000;

/** What the app's client emits when it is connected again, and when it is closed. */
const SOURCE_EVENTS = ["ready", "end"];

/** How many round trips a connection may take to be made. */
const CONNECTING = 5;

/**
 * Whether a client can track: node-redis from 5.9 on. A client that knows the option refuses it
 * together with RESP2; nothing else tells, and nothing is connected by asking.
 */
export function canTrack(client: NodeRedisClient): boolean {
  const { duplicate } = client as Partial<TrackableClient>;
  if (typeof duplicate !== "function") return false;
  try {
    duplicate.call(client, { RESP: 2, emitInvalidate: true, clientSideCache: undefined });
    return false;
  } catch (error) {
    return error instanceof Error && error.message.includes("emitInvalidate");
  }
}

/** One tracking connection; it is thrown away when it is lost. */
interface Connection {
  readonly client: TrackableClient;
  readonly lost: () => void;
  /** When the last answered ping was sent; what the server announced before then has arrived. */
  confirmed: number;
  timer?: NodeJS.Timeout;
}

/** Tracking over a connection of its own, a duplicate of the app's node-redis client. */
export class NodeRedisTracker implements Tracker {
  readonly #source: TrackableClient;
  readonly keyPrefix: string;
  readonly #options: object;
  readonly #timeout: number;
  readonly #host: string;
  readonly #deadline: Deadline;
  readonly #connecting: Deadline;
  readonly #events: TrackingEvents;
  #connection: Connection | undefined;
  #openAfter = 0;

  /**
   * Connects when it is first asked whether it is coherent and the app's client is connected, and
   * again after it was lost.
   *
   * @param prefix - the key prefix of the client, which its raw commands do not apply
   * @param timeout - in ms
   * @param host - for messages
   */
  constructor(
    client: NodeRedisClient,
    prefix: string,
    binary: boolean,
    timeout: number,
    host: string,
    events: TrackingEvents,
  ) {
    this.#source = client as TrackableClient;
    this.keyPrefix = prefix;
    this.#options = overriding(client, binary);
    this.#timeout = timeout;
    this.#host = host;
    const mostly = { host: () => host, holdsProcess: false };
    this.#deadline = new Deadline({ ...mostly, timeout });
    this.#connecting = new Deadline({
      ...mostly,
      timeout: Math.min(CONNECTING * timeout, 60_000),
    });
    this.#events = events;
  }

  isCoherent(now: number): boolean {
    const connection = this.#connection;
    if (connection === undefined) {
      this.#open();
      return false;
    }
    // Not only the timer of the ping: this process may have been stopped for a while.
    return now - connection.confirmed <= PING_INTERVAL + this.#timeout;
  }

  async read(key: string): Promise<TrackedValue> {
    const connection = this.#connection;
    if (connection === undefined) throw new StoreError("ERR_UNAVAILABLE", "no tracking connection");
    const whole = this.keyPrefix + key;
    const sent = performance.now();
    const [value, left] = await Promise.all([
      this.#send<Value | null>(connection, ["GET", whole]),
      this.#send<number>(connection, ["PTTL", whole]),
    ]).catch((error: StoreError) => {
      this.#mayBeRefused(connection, error);
      throw error;
    });
    return { value, until: left === -1 ? Number.POSITIVE_INFINITY : sent + left };
  }

  close(): void {
    this.#openAfter = Number.POSITIVE_INFINITY;
    if (this.#connection !== undefined) this.#lose(this.#connection);
  }

  #open(): void {
    if (!this.#source.isReady || performance.now() < this.#openAfter) return;
    this.#openAfter = performance.now() + PING_INTERVAL;
    const { socket } = (this.#source.options ?? {}) as { socket?: object };
    const client = this.#source.duplicate({
      RESP: 3,
      emitInvalidate: true,
      clientSideCache: undefined,
      disableOfflineQueue: true,
      socket: { ...socket, reconnectStrategy: false },
    });
    const lost = () => this.#lose(connection);
    const connection: Connection = { client, lost, confirmed: Number.NEGATIVE_INFINITY };
    this.#connection = connection;
    client.on("invalidate", (key) => this.#invalidated(key));
    // A user who may not track learns it here: the connection is not made then.
    client.on("error", (error) =>
      this.#failed(connection, fromClient(error, "CLIENT TRACKING", this.#host)),
    );
    client.on("end", lost);
    // The app's client keeps the process running, not this one.
    client.unref();
    // That client may have come to another server, after a failover; or it was closed.
    for (const event of SOURCE_EVENTS) this.#source.on(event, lost);
    // A server that takes the connection and says nothing keeps the client waiting for ever.
    this.#connecting.bound(client.connect(), "the tracking connection").then(
      () => this.#start(connection),
      (error) => this.#failed(connection, error),
    );
  }

  /** Begins to vouch for a connection, once it is certain that the server tracks it. */
  async #start(connection: Connection): Promise<void> {
    const sent = performance.now();
    try {
      // -1 where tracking is off; an old client ignores the option that turns it on.
      const redirect = await this.#send<number>(connection, ["CLIENT", "GETREDIR"]);
      if (redirect !== 0 || connection !== this.#connection) return this.#lose(connection);
    } catch (error) {
      return this.#failed(connection, error as StoreError);
    }
    connection.confirmed = sent;
    connection.timer = setInterval(() => this.#ping(connection), PING_INTERVAL).unref();
  }

  #ping(connection: Connection): void {
    const sent = performance.now();
    this.#send(connection, ["PING"]).then(
      () => {
        connection.confirmed = Math.max(connection.confirmed, sent);
      },
      () => this.#lose(connection),
    );
  }

  #invalidated(key: unknown): void {
    const whole = key === null ? null : String(key as string | Buffer);
    if (whole === null) this.#events.onInvalidated(null);
    else if (whole.startsWith(this.keyPrefix)) {
      this.#events.onInvalidated(whole.slice(this.keyPrefix.length));
    }
  }

  #failed(connection: Connection, error: StoreError): void {
    this.#mayBeRefused(connection, error);
    this.#lose(connection);
  }

  /** A user who may not do one thing that tracking needs cannot have it. */
  #mayBeRefused(connection: Connection, error: StoreError): void {
    if (error.code !== "ERR_NO_PERMISSION" || connection !== this.#connection) return;
    this.#lose(connection);
    this.#openAfter = performance.now() + REFUSED_INTERVAL;
    this.#events.onRefused(error);
  }

  #lose(connection: Connection): void {
    if (connection !== this.#connection) return;
    this.#connection = undefined;
    clearInterval(connection.timer);
    for (const event of SOURCE_EVENTS) this.#source.off(event, connection.lost);
    this.#events.onLost();
    try {
      connection.client.destroy();
    } catch {
      // It is closed already.
    }
  }

  #send<Reply>(connection: Connection, command: string[]): Promise<Reply> {
    const answer = connection.client.sendCommand(command, this.#options) as Promise<Reply>;
    return this.#deadline.bound(answer, command[0] as string, () => {
      this.#lose(connection);
      return {};
    });
  }
}
