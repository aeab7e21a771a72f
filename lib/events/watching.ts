// The event sources that a store has open: one watcher from the first of them to the last.
import { StoreError } from "../base/index.js";
import { publishingOf } from "../client/index.js";
import type { Settings } from "../options.js";
import { handleOf } from "../session/index.js";
import type { SessionEvents } from "./watch.js";
import { Watcher } from "./watcher.js";

/** What `watch()` opens and `close()` ends. */
export class Watching {
  readonly #settings: Settings;
  #watcher: Watcher | undefined;
  #isClosed = false;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /**
   * Another event source.
   *
   * @throws ERR_INVALID_OPTION for a client that cannot listen, ERR_CLOSED
   */
  async open(): Promise<SessionEvents> {
    if (this.#isClosed) throw closed();
    this.#watcher ??= this.#start();
    const events = await this.#watcher.open();
    if (this.#isClosed) throw closed();
    return events;
  }

  /** Closes all event sources, for good. */
  close(): void {
    this.#isClosed = true;
    this.#watcher?.close();
  }

  #start(): Watcher {
    const { client, prefix, timeout } = this.#settings;
    const publishing = publishingOf(client, timeout);
    if (publishing === undefined) {
      const message =
        "watch() needs a client that can listen over a connection of its own: one of redis, ioredis or iovalkey; with valkey-glide, create such a client for a second store that only watches";
      throw new StoreError("ERR_INVALID_OPTION", message);
    }
    const { publishers, keyPrefix } = publishing;
    return new Watcher({
      publishers,
      prefix: keyPrefix + prefix,
      handleOf: (sid) => handleOf(prefix, sid),
      onEnd: () => {
        this.#watcher = undefined;
      },
    });
  }
}

function closed(): StoreError {
  const message = "the store was closed; watch() would open a connection that nobody closes";
  return new StoreError("ERR_CLOSED", message);
}
