// Scans all keys of a prefix, on one server or on all primaries of a cluster.
import { performance } from "node:perf_hooks";
import { setTimeout as delay, setImmediate as turn } from "node:timers/promises";
import { isSilence } from "../base/index.js";
import { type Layout, mayHaveGained } from "./layout.js";
import type { Primary } from "./transport.js";

/** A page of SCAN: the cursor of the next one and keys. */
export type Page = [cursor: string, keys: string[]];

/** What a scan needs of the servers. */
export interface ScanSource {
  /** The servers that hold keys, as of now. */
  primaries(): Promise<Primary[]>;
  /** The slots of one of them, or `undefined` where none ever move. */
  layout(primary: Primary): Promise<Layout | undefined>;
  /** One page of the keys of one of them. */
  page(primary: Primary, cursor: string): Promise<Page>;
  /** How often a connection has come to lead to another server. */
  switches(): number;
  /** For how long servers may fail without a page in between, in ms. */
  readonly patience: number;
}

/** Before a server that failed is asked again, in ms. */
const PAUSE = 50;

/** How often one primary is scanned because slots move to it; a move may also be left half done. */
const MOST_SCANS = 3;

/** So often it begins anew at the most: a server may fail each time after its first page. */
const MOST_ROUNDS = 100;

/** A primary that was scanned to the end. */
interface Scanned {
  /** Its slots before that. */
  readonly layout: Layout | undefined;
  readonly times: number;
}

/**
 * The keys of all primaries, which are scanned in parallel, one page ahead of the reader.
 *
 * A primary that fails is replaced by the one that took over its slots, or scanned again; so is one
 * that got slots meanwhile, since it may have got keys behind the cursor. So a key may come twice.
 */
export async function* scanAll(source: ScanSource): AsyncGenerator<string[]> {
  const scanned = new Map<string, Scanned>();
  let failure: unknown;
  let failing: number | undefined;

  const failed = (error: unknown): void => {
    if (!isSilence(error)) throw error;
    failure = error;
    failing ??= performance.now();
  };

  async function* walk(primary: Primary, layout: Layout | undefined): AsyncGenerator<string[]> {
    try {
      for (let cursor = "0", switches = source.switches(); ; ) {
        const [next, keys] = await source.page(primary, cursor);
        failing = undefined;
        const isOther = source.switches() !== switches;
        switches = source.switches();
        if (keys.length > 0) yield keys;
        // Another server numbers its keys in another way.
        cursor = isOther ? "0" : next;
        if (cursor === "0" && !isOther) break;
      }
      const times = (scanned.get(primary.address)?.times ?? 0) + 1;
      scanned.set(primary.address, { layout, times });
    } catch (error) {
      failed(error);
    }
  }

  for (let round = 1; ; round++) {
    try {
      const walks: AsyncGenerator<string[]>[] = [];
      await Promise.all(
        (await source.primaries()).map(async (primary) => {
          const before = scanned.get(primary.address);
          const layout = await source.layout(primary);
          if (before === undefined || isDue(before, layout)) walks.push(walk(primary, layout));
        }),
      );
      if (walks.length === 0) return;
      yield* merged(walks);
    } catch (error) {
      failed(error);
    }
    if (failure !== undefined && round >= MOST_ROUNDS) throw failure;
    if (failing === undefined) continue;
    if (performance.now() - failing >= source.patience) throw failure;
    await delay(PAUSE);
  }
}

function isDue({ layout: before, times }: Scanned, now: Layout | undefined): boolean {
  if (before === undefined || now === undefined) return false;
  return times < MOST_SCANS && mayHaveGained(before, now);
}

/** What several generators yield, in the order in which it comes; each is one step ahead. */
async function* merged<T>(sources: AsyncGenerator<T>[]): AsyncGenerator<T> {
  const step = (source: AsyncGenerator<T>) => source.next().then((result) => ({ source, result }));
  const steps = new Map(sources.map((source) => [source, step(source)]));
  try {
    while (steps.size > 0) {
      const { source, result } = await Promise.race(steps.values());
      if (result.done) {
        steps.delete(source);
      } else {
        steps.set(source, step(source));
        // Clients write at the end of a turn: only then the server works while the reader does.
        await turn();
        yield result.value;
      }
    }
  } finally {
    // The reader has stopped, or one of them has failed.
    await Promise.allSettled([...steps.values()]);
    await Promise.allSettled(Array.from(steps.keys(), (source) => source.return(undefined)));
  }
}
