// Remembers why a client gets no connection.
import { type EventEmitter, errorMonitor } from "node:events";

/** So many stores may watch one client before Node would warn of a leak. */
const MOST = 5;

/**
 * Why a client gets no connection: the last error that it emitted while it had none. A wrong
 * password looks like silence otherwise.
 *
 * It only watches. An app that does not listen for `error` still crashes as if there were no store.
 */
export class Complaints {
  readonly #client: EventEmitter;
  readonly #isReady: () => boolean;
  #last: Error | undefined;
  #isWatching = false;

  constructor(client: object, isReady: () => boolean) {
    this.#client = client as EventEmitter;
    this.#isReady = isReady;
  }

  /** Watches until the client has a connection; at once over where it has one. */
  watch(): void {
    if (this.#isWatching || this.#isReady()) return;
    if (this.#client.listenerCount(errorMonitor) >= MOST) return;
    this.#isWatching = true;
    this.#client.on(errorMonitor, this.#note);
    this.#client.on("ready", this.#stop);
  }

  /** The last one since the client lost its connection. */
  get last(): Error | undefined {
    return this.#isReady() ? undefined : this.#last;
  }

  readonly #note = (error: unknown): void => {
    if (error instanceof Error) this.#last = error;
  };

  readonly #stop = (): void => {
    this.#isWatching = false;
    this.#last = undefined;
    this.#client.off(errorMonitor, this.#note);
    this.#client.off("ready", this.#stop);
  };
}
