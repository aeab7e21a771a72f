// Decides whether Redis is down or up again.
import { performance } from "node:perf_hooks";
import type { StoreError } from "../base/index.js";

/** How often a server that is down is asked whether it answers again, in ms. */
const PROBE_INTERVAL = 250;

/** What the health of a server needs of the client, and whom it tells. */
export interface HealthOptions {
  /** For how long nothing may answer before the server counts as down, in ms. */
  readonly timeout: number;
  /** Asks the server, or all primaries of a cluster, for any answer. */
  readonly probe: () => Promise<unknown>;
  /**
   * Whether silence proves nothing before a probe has failed too: in a cluster it may be that only
   * the one dead shard was asked.
   */
  readonly confirm: boolean;
  /** Host and port, for messages. */
  readonly host: () => string;
  /** The error that says `what`, and what the client knows about it. */
  readonly unavailable: (what: string) => StoreError;
  /** Told of each change. */
  readonly onChange: (isDown: boolean) => void;
}

/**
 * Whether a server answers, judged by what comes back: a server that is frozen, or whose connection
 * is half-open, never looks down to a client.
 *
 * It is down when something was asked and nothing at all has been answered for `timeout`, or when the
 * client has had no connection for that long; then it is probed until it answers anything, an error
 * included. A shorter gap is waited out. A cluster is down when none of its primaries answers.
 */
export class Health {
  readonly #options: HealthOptions;
  /** Since when questions have remained without any answer. */
  #silentSince: number | undefined;
  #lastAnswer = Number.NEGATIVE_INFINITY;
  #isDown = false;
  #isConfirming = false;
  #isAsking = false;
  #isClosed = false;

  constructor(options: HealthOptions) {
    this.#options = options;
  }

  get isDown(): boolean {
    return this.#isDown;
  }

  /** Whether something has failed without an answer, and nothing has been answered since. */
  get isSilent(): boolean {
    return this.#silentSince !== undefined;
  }

  /** The server has answered something. */
  answered(): void {
    this.#silentSince = undefined;
    this.#lastAnswer = performance.now();
    if (!this.#isDown) return;
    this.#isDown = false;
    this.#options.onChange(false);
  }

  /** A question that was asked at `asked` (monotonic, in ms) has failed without an answer. */
  unanswered(asked: number): void {
    // Later questions may have been answered: by other connections, or other primaries.
    this.#silentSince ??= Math.max(asked, this.#lastAnswer);
    if (this.#isDown || this.#isConfirming) return;
    if (performance.now() - this.#silentSince < this.#options.timeout) return;
    if (this.#options.confirm) this.#confirm();
    else this.#goDown();
  }

  /** The client has had no connection for `timeout`. */
  withoutConnection(): void {
    this.unanswered(performance.now() - this.#options.timeout);
  }

  /** Nothing tells of the connection: asks for an answer, if none has come for `timeout`. */
  doubt(): void {
    if (this.#isDown || this.#isAsking) return;
    if (performance.now() - this.#lastAnswer < this.#options.timeout) return;
    this.#askOnce();
  }

  /** From now on nothing is done while nobody asks: a server that is down is probed when it is needed. */
  close(): void {
    this.#isClosed = true;
  }

  /** Why nothing is sent to a server that is down. */
  error(command: string): StoreError {
    if (this.#isClosed) this.#askOnce();
    const silence = Math.round(performance.now() - (this.#silentSince ?? performance.now()));
    return this.#options.unavailable(
      `${command} was not sent: Redis at ${this.#options.host()} has not answered for ${silence} ms`,
    );
  }

  #askOnce(): void {
    if (this.#isAsking) return;
    this.#isAsking = true;
    const asked = () => {
      this.#isAsking = false;
    };
    // Whoever waits for the answer reports it.
    this.#options.probe().then(asked, asked);
  }

  #confirm(): void {
    this.#isConfirming = true;
    const confirmed = (failed: boolean) => {
      this.#isConfirming = false;
      if (failed && this.#silentSince !== undefined) this.#goDown();
    };
    this.#options.probe().then(
      () => confirmed(false),
      () => confirmed(true),
    );
  }

  #goDown(): void {
    this.#isDown = true;
    this.#options.onChange(true);
    this.#probe();
  }

  /** Goes on until something is answered, or nobody has the store any more. */
  #probe(): void {
    if (this.#isClosed) return;
    const again = () => {
      if (this.#isDown) Health.#probeLater(new WeakRef(this));
    };
    this.#options.probe().then(again, again);
  }

  static #probeLater(weak: WeakRef<Health>): void {
    setTimeout(() => {
      const health = weak.deref();
      if (health !== undefined) health.#probe();
    }, PROBE_INTERVAL).unref();
  }
}
