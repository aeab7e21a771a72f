// What a client family contributes: a way to send a raw command.

import type { Value } from "../session/index.js";
import type { Complaints } from "./complaints.js";

/** One command as it goes over the wire: its name and its arguments. */
export type Command = Value[];

/**
 * What a client family contributes to the port: a way to send a raw command to the primary that
 * holds a key, and what the client does to keys. Everything else is the same for all of them.
 */
export interface Transport {
  /**
   * Sends `command`, with bulk replies as Buffers if `binary`.
   *
   * @param key - the key that decides which primary of a cluster gets it
   * @param wait - for how long it may wait until the client takes commands; `undefined`: not at all
   */
  send(command: Command, key: string, binary: boolean, wait: Wait | undefined): Promise<unknown>;
  /**
   * Makes a command harmless at its deadline: where the client has not sent it yet, or would send it
   * again, a PING goes out in its place. Left out for clients that do neither.
   */
  replace?(command: Command): Replacement | undefined;
  /**
   * Counts connections, where the client sends again over a new one what was under way on the last;
   * `NaN` where it does that and does not count.
   */
  connection?(): number;
  /** Whether a command goes out at once. One that has to wait for a connection can be dropped. */
  isReady(): boolean;
  /** Whether the client has a connection; `undefined` where it does not tell. */
  isConnected(): boolean | undefined;
  /** Why nothing goes out and what to do about it, or `undefined` where the client sees no reason. */
  trouble(): string | undefined;
  /** Why the client gets no connection, where it tells that. */
  readonly complaints?: Complaints;
  /** The server, for messages. */
  host(): string;
  /** What the client puts in front of every key. */
  readonly keyPrefix: string;
  /** Whether raw commands get `keyPrefix` from the client. SCAN, which names no key, never does. */
  readonly addsPrefix: boolean;
  /** Whether the client is set to send commands that only read to replicas. */
  readonly readsReplicas: boolean;
  /** Whether all commands go over one connection to one server, in the order in which they are sent. */
  readonly isOrdered: boolean;
  /** How many commands of one bulk operation may be under way at a time. */
  readonly inFlight: number;
  /** Only in a cluster: the primaries as the client knows them now, each of which has to be scanned. */
  readonly primaries?: () => Promise<Primary[]>;
  /** Only in a cluster: the address of the primary that holds a key as it is sent, where the client tells. */
  readonly primaryOf?: (key: string) => string | undefined;
  /** Instead of the primaries, whom to ask for a sign of life, where one dead primary hides the others. */
  readonly signs?: readonly Primary[];
  /**
   * Tells when the connection may lead to another server than before, where a cursor of SCAN means
   * nothing. Returns what stops it.
   */
  readonly onSwitch?: (listener: () => void) => () => void;
}

/** One primary of a cluster. */
export interface Primary {
  /** Host and port. */
  readonly address: string;
  /** Sends a command that names no key to this very server. */
  readonly send: (command: Command) => Promise<unknown>;
  /** The client's own connection to it, for clients that can make another one like that. */
  readonly connection?: () => Promise<object>;
}

/** The PING in the place of a command. */
export interface Replacement {
  /** Whether this reply is the answer to it, and not to the command. */
  isAnsweredBy(reply: unknown): boolean;
  /** Whether the command cannot have gone out before it. */
  readonly isFirst: boolean;
}

/** The wait of one command for a connection. */
export class Wait {
  readonly #abort = new AbortController();
  #hasLeft = false;

  /** Aborts at the deadline: a command that has not gone out yet must not go out any more. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** The client has got the command. */
  left(): void {
    this.#hasLeft = true;
  }

  /** Ends it; whether the client has got the command. */
  end(): boolean {
    this.#abort.abort();
    return this.#hasLeft;
  }
}

/** How often a gate looks whether it is open, in ms. */
const LOOK = 10;

/**
 * Holds commands back until the client takes them. Not all clients tell that by an event, so it
 * looks, with one timer for all that wait.
 */
export class Gate {
  readonly #isOpen: () => boolean;
  readonly #waiting = new Set<() => void>();
  #timer: NodeJS.Timeout | undefined;

  constructor(isOpen: () => boolean) {
    this.#isOpen = isOpen;
  }

  /** Rejects when the wait ends before. */
  async pass(wait: Wait): Promise<void> {
    const { signal } = wait;
    if (!this.#isOpen()) {
      await new Promise<void>((resolve) => {
        this.#waiting.add(resolve);
        this.#timer ??= setInterval(this.#look, LOOK).unref();
        const leave = () => {
          this.#waiting.delete(resolve);
          resolve();
        };
        signal.addEventListener("abort", leave, { once: true });
      });
    }
    signal.throwIfAborted();
    wait.left();
  }

  readonly #look = (): void => {
    if (this.#waiting.size > 0 && !this.#isOpen()) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  };
}
