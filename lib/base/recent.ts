// Remembers what was noted of late, and forgets it without looking for it.

/**
 * A map that does not grow: of what is noted the newest half of `most` is always remembered, and never
 * more than `most`. It forgets by halves. To drop the oldest one each time takes a Map far longer than
 * to add one: it goes through all those that it has dropped before.
 */
export class Recent<Key, Item> {
  readonly #half: number;
  #newer = new Map<Key, Item>();
  #older = new Map<Key, Item>();

  /** @param most - how many are remembered at the most */
  constructor(most: number) {
    this.#half = Math.ceil(most / 2);
  }

  get(key: Key): Item | undefined {
    return this.#newer.get(key) ?? this.#older.get(key);
  }

  set(key: Key, item: Item): void {
    this.#newer.set(key, item);
    if (this.#newer.size < this.#half) return;
    this.#older = this.#newer;
    this.#newer = new Map();
  }

  clear(): void {
    this.#newer.clear();
    this.#older.clear();
  }
}
