// Warns whoever set up the console, once for each cause: no request fills a log.

export class Warnings {
  readonly #prefix: string;
  readonly #told = new Set<string>();

  /** @param prefix - of the store, for an app that has two consoles */
  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  readonly warn = (words: string): void => {
    if (this.#told.has(words)) return;
    this.#told.add(words);
    process.emitWarning(`the console of "${this.#prefix}": ${words}`, {
      type: "SessionConsoleWarning",
    });
  };
}
