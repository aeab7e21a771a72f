// Reads many values, bounded by their bytes as well as by their number.
import { performance } from "node:perf_hooks";
import { setTimeout as delay, setImmediate as turn } from "node:timers/promises";
import { codeOf, isSilence } from "../base/index.js";
import type { Value } from "../session/index.js";
import type { Port, Size } from "./port.js";

/** What a key holds, for whatever it was read for. */
export interface Held<Item> {
  readonly item: Item;
  /** `null`: nothing, or no string. */
  readonly value: Value | null;
  /** What it has left to live, in ms; `Infinity`: no end, or it was not asked. */
  readonly left: number;
}

/** So many bytes are asked for at a time, or one value. */
const GROUP_BYTES = 512 * 1024;

/** What values are taken for of which no size is known, before the first of them are read. */
const GUESSED_BYTES = 16 * 1024;

/** Before a server that failed is asked again, in ms. */
const PAUSE = 50;

interface Wanted<Item> {
  readonly item: Item;
  readonly key: string;
  /** `null`: there is no such key; `undefined`: nobody has asked. */
  readonly size: Size | null | undefined;
  /** When its size was told, on the monotonic clock. */
  readonly asked: number;
}

/** What is read, and how. */
export interface Reading<Item> {
  readonly port: Port;
  /** Each at most some thousand. */
  readonly batches: AsyncIterable<Item[]> | Iterable<Item[]>;
  readonly keyOf: (item: Item) => string;
  /**
   * For how long nothing may come before it fails, in ms. Until then a group of values that comes too
   * late is halved, and a server that is away is waited for. 0: the first failure is the last.
   */
  readonly patience: number;
  /**
   * Whether to ask first how large the values are and how long they live, which costs the server as
   * much as the values. Otherwise it is guessed from those before.
   */
  readonly measures: boolean;
}

/**
 * What many keys hold, in their order: small groups one after the other, so that memory is bounded
 * and no command holds up the server or fills a slow connection. One group is on its way while the
 * one before it is worked on.
 */
export function readMany<Item>(reading: Reading<Item>): AsyncGenerator<Held<Item>[]> {
  return ahead(values(reading, ahead(sizes(reading))));
}

/** The keys of each batch with what they hold in bytes. */
async function* sizes<Item>({
  port,
  batches,
  keyOf,
  patience,
  measures,
}: Reading<Item>): AsyncGenerator<Wanted<Item>[]> {
  for await (const items of batches) {
    const keys = items.map(keyOf);
    const found = measures ? await insist(() => port.measure(keys), patience) : [];
    const asked = performance.now();
    yield items.map((item, n) => ({ item, key: keys[n] as string, size: found[n], asked }));
  }
}

async function* values<Item>(
  { port, patience }: Reading<Item>,
  batches: AsyncIterable<Wanted<Item>[]>,
): AsyncGenerator<Held<Item>[]> {
  const waiting = new Waiting(patience);
  const guess = new Guess();
  for await (const batch of batches) {
    for (let start = 0, most = batch.length; start < batch.length; ) {
      const group = batch.slice(start, start + Math.min(most, countOf(batch, start, guess)));
      let held: Held<Item>[];
      try {
        held = await valuesOf(port, group);
      } catch (error) {
        await waiting.after(error);
        // Too much for a slow connection. A server that is away says nothing about that.
        if (codeOf(error) === "ERR_TIMEOUT") most = Math.max(1, group.length >> 1);
        continue;
      }
      waiting.isOver();
      guess.learn(held);
      start += group.length;
      yield held;
    }
  }
}

/** How many of a batch, from `start` on, are not too many bytes; at least one. */
function countOf<Item>(batch: Wanted<Item>[], start: number, guess: Guess): number {
  let sum = 0;
  let end = start;
  for (; end < batch.length; end++) {
    const { size } = batch[end] as Wanted<Item>;
    sum += size === null ? 0 : (size?.bytes ?? guess.bytes);
    if (sum > GROUP_BYTES) break;
  }
  return Math.max(1, end - start);
}

/** How large a value is, by those that were read. */
class Guess {
  bytes = GUESSED_BYTES;
  #sum = 0;
  #count = 0;

  learn(held: readonly Held<unknown>[]): void {
    for (const { value } of held) this.#sum += value?.length ?? 0;
    this.#count += held.length;
    // Not all of them at once: the first few may be small.
    this.bytes = Math.max(1, this.#sum / this.#count, this.bytes / 4);
  }
}

async function valuesOf<Item>(port: Port, group: Wanted<Item>[]): Promise<Held<Item>[]> {
  const there = group.filter(({ size }) => size !== null);
  const found = there.length === 0 ? [] : await port.getMany(there.map(({ key }) => key));
  const now = performance.now();
  let next = 0;
  return group.map(({ item, size, asked }) => {
    if (size === null) return { item, value: null, left: 0 };
    const left = size === undefined ? Number.POSITIVE_INFINITY : size.left - (now - asked);
    return { item, value: found[next++] ?? null, left: Math.max(0, left) };
  });
}

/** What a generator yields, with the next step under way while the last one is worked on. */
async function* ahead<T>(source: AsyncGenerator<T>): AsyncGenerator<T> {
  let next = source.next();
  try {
    for (;;) {
      const { done, value } = await next;
      if (done) return;
      next = source.next();
      // Nobody may be there any more to wait for it.
      next.catch(() => {});
      // Clients write at the end of a turn: only then the server works while the reader does.
      await turn();
      yield value;
    }
  } finally {
    await next.catch(() => {});
    await source.return(undefined);
  }
}

async function insist<T>(work: () => Promise<T>, patience: number): Promise<T> {
  for (const waiting = new Waiting(patience); ; ) {
    try {
      return await work();
    } catch (error) {
      await waiting.after(error);
    }
  }
}

/** How long nothing has come. */
class Waiting {
  readonly #patience: number;
  #since: number | undefined;

  constructor(patience: number) {
    this.#patience = patience;
  }

  /** Rejects with the error, unless another attempt may succeed. */
  async after(error: unknown): Promise<void> {
    const now = performance.now();
    this.#since ??= now;
    if (!isSilence(error) || now - this.#since >= this.#patience) throw error;
    await delay(PAUSE);
  }

  isOver(): void {
    this.#since = undefined;
  }
}
