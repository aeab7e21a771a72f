// Finds what fills the memory: users, keys within sessions, the largest sessions. One pass, in bounded memory.
//
//   node who-fills-memory.js
//
// Sizes are those of the stored text; Redis needs about 100 bytes more for each session.
import { open } from "./open.js";

/** So many names are counted at a time. Whoever has more than one part in so many of all bytes is found. */
const COUNTED = 1000;
const SHOWN = 5;

/**
 * The heaviest of many (Misra and Gries, weighted). What it counts is never too much, and too little by
 * at most one part in COUNTED of the whole.
 */
class Heaviest {
  /** @type {Map<string, number>} */
  #counts = new Map();

  /** @param {string} name @param {number} bytes */
  add(name, bytes) {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + bytes);
    if (this.#counts.size <= COUNTED) return;
    const least = Math.min(...this.#counts.values());
    for (const [one, count] of this.#counts) {
      if (count <= least) this.#counts.delete(one);
      else this.#counts.set(one, count - least);
    }
  }

  get first() {
    return [...this.#counts].sort(([, a], [, b]) => b - a).slice(0, SHOWN);
  }
}

const { store, configured, close } = await open();
const users = new Heaviest();
const keys = new Heaviest();
const sessions = new Heaviest();
let count = 0;
let total = 0;
for await (const { session, handle, bytes } of store.sessions()) {
  count++;
  total += bytes;
  sessions.add(handle, bytes);
  users.add(configured.userId(session) ?? "nobody", bytes);
  for (const [key, value] of Object.entries(session)) {
    keys.add(key, Buffer.byteLength(JSON.stringify(value) ?? ""));
  }
}
console.log(`${count} sessions, ${total} bytes`);
for (const [what, heaviest] of Object.entries({ users, keys, sessions })) {
  console.log(`${what}:`);
  for (const [name, bytes] of heaviest.first) {
    console.log(`  ${Math.round((100 * bytes) / total)} %  ${bytes} bytes  ${name}`);
  }
}
await close();
