// Makes once what several ask for: who asks meanwhile, or shortly after, gets the same.

interface Making<Result> {
  readonly result: Promise<Result>;
  /** Stops it when nobody waits. */
  readonly stop: AbortController;
  waiting: number;
  /** Until when it is given to who asks. */
  until: number;
}

export class Shared<Result> {
  readonly #ms: number;
  /** The oldest first. */
  readonly #made = new Map<string, Making<Result>>();

  /** @param ms - for so long is given what was made */
  constructor(ms: number) {
    this.#ms = ms;
  }

  /**
   * What is asked for by this name.
   *
   * @param make - makes it; its signal is aborted when nobody waits for it any more, and then what it
   *   gives is of no account
   * @param gone - that the one who asks no longer waits
   */
  async get(
    name: string,
    make: (gone: AbortSignal) => Promise<Result>,
    gone: AbortSignal,
  ): Promise<Result> {
    this.#drop();
    const making = this.#made.get(name) ?? this.#begin(name, make);
    making.waiting++;
    const leave = () => {
      making.waiting--;
      if (making.waiting > 0 || making.until !== Number.POSITIVE_INFINITY) return;
      making.stop.abort();
      this.#forget(name, making);
    };
    gone.addEventListener("abort", leave);
    try {
      return await making.result;
    } finally {
      gone.removeEventListener("abort", leave);
    }
  }

  /** Gives nothing any more that was begun before now. */
  clear(): void {
    this.#made.clear();
  }

  #begin(name: string, make: (gone: AbortSignal) => Promise<Result>): Making<Result> {
    const stop = new AbortController();
    const result = make(stop.signal);
    const making = { result, stop, waiting: 0, until: Number.POSITIVE_INFINITY };
    this.#made.set(name, making);
    result.then(
      () => {
        making.until = performance.now() + this.#ms;
      },
      () => this.#forget(name, making),
    );
    return making;
  }

  #forget(name: string, making: Making<Result>): void {
    if (this.#made.get(name) === making) this.#made.delete(name);
  }

  #drop(): void {
    const now = performance.now();
    for (const [name, { until }] of this.#made) if (until <= now) this.#made.delete(name);
  }
}
