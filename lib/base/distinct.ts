// Counts how many different names there are among many, in a megabyte.

/** One bit for each of so many groups of names: exact for thousands, within a percent for millions. */
const BITS = 2 ** 23;

/** Linear counting (Whang, Vander-Zanden, Taylor 1990). */
export class Distinct {
  readonly #words = new Uint32Array(BITS / 32);
  #taken = 0;

  add(name: string): void {
    const bit = hashOf(name) & (BITS - 1);
    const word = this.#words[bit >>> 5] as number;
    const mask = 1 << (bit & 31);
    if ((word & mask) !== 0) return;
    this.#words[bit >>> 5] = word | mask;
    this.#taken++;
  }

  /** About how many different ones were added. */
  get count(): number {
    const free = Math.max(1, BITS - this.#taken);
    return Math.round(BITS * Math.log(BITS / free));
  }
}

/** 32 bits of FNV-1a, mixed as MurmurHash3 ends. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
