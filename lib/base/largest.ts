// Keeps the largest of many things, each once.

/** A few of many; what comes twice under one name counts once. */
export class Largest<Thing> {
  readonly #most: number;
  readonly #sizeOf: (thing: Thing) => number;
  readonly #nameOf: (thing: Thing) => string;
  /** The largest first. */
  readonly #things: Thing[] = [];

  /** @param most - how many are kept */
  constructor(most: number, sizeOf: (thing: Thing) => number, nameOf: (thing: Thing) => string) {
    this.#most = most;
    this.#sizeOf = sizeOf;
    this.#nameOf = nameOf;
  }

  get things(): readonly Thing[] {
    return this.#things;
  }

  /** Whether a thing of that size would be kept. */
  takes(size: number): boolean {
    const last = this.#things.at(-1);
    return this.#things.length < this.#most || last === undefined || size > this.#sizeOf(last);
  }

  add(thing: Thing): void {
    const size = this.#sizeOf(thing);
    if (!this.takes(size)) return;
    const name = this.#nameOf(thing);
    const known = this.#things.findIndex((one) => this.#nameOf(one) === name);
    if (known !== -1) this.#things.splice(known, 1);
    const place = this.#things.findIndex((one) => this.#sizeOf(one) < size);
    this.#things.splice(place === -1 ? this.#things.length : place, 0, thing);
    if (this.#things.length > this.#most) this.#things.pop();
  }
}
