// Counts how often a connection has come to lead to another server.
import type { Transport } from "./transport.js";

/**
 * Counts how often a connection has come to lead to another server. Any number of listings share one
 * listener on the client: Node takes more than ten for a leak.
 */
export class Switches {
  readonly #onSwitch: Transport["onSwitch"];
  #watchers = 0;
  #stop: (() => void) | undefined;
  #count = 0;

  constructor(onSwitch: Transport["onSwitch"]) {
    this.#onSwitch = onSwitch;
  }

  /** Counted only while somebody watches. */
  get count(): number {
    return this.#count;
  }

  watch(): void {
    if (this.#watchers++ > 0) return;
    this.#stop = this.#onSwitch?.(() => {
      this.#count++;
    });
  }

  unwatch(): void {
    if (--this.#watchers > 0) return;
    this.#stop?.();
  }
}
