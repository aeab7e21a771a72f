// Whether servers compare and set by themselves, and the script for those that do not.
import { performance } from "node:perf_hooks";
import { script } from "./script.js";
import type { Transport } from "./transport.js";

/**
 * Writes a key only where it holds what the writer believes.
 *
 * KEYS[1] the key
 * ARGV[1] the value that it should hold
 * ARGV[2] the value to write
 * ARGV[3] its time to live in ms, "" for none, or "keep" for what the key has left to live
 * Answers 1: written, 0: there is no such key, or the value that the key holds instead.
 */
export const COMPARE_AND_SET = script(`
local current = redis.call('GET', KEYS[1])
if not current then return 0 end
if current ~= ARGV[1] then return current end
if ARGV[3] == '' then redis.call('SET', KEYS[1], ARGV[2])
elseif ARGV[3] == 'keep' then redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1`);

/** A server that does not compare is asked again at most so often, in ms. */
const PAUSE = 60_000;

/** That a server does not compare. */
interface Refusal {
  /** When it was asked last, in ms (monotonic). */
  readonly asked: number;
  /** Whether it is being asked again. */
  readonly isOpen: boolean;
}

/**
 * Which servers of a client know `SET … IFEQ`: Valkey 8.1 and newer, Redis 8.4 and newer. Each is
 * taken to until it answers with a syntax error, which proves that nothing happened. Where the client
 * tells when it leads to another server, only that is a reason to ask again.
 */
export class Comparing {
  /** The servers that do not compare, by their addresses. */
  readonly #without = new Map<string, Refusal>();
  readonly #onSwitch: Transport["onSwitch"];
  #listens = false;
  #maySwitch = false;

  constructor(onSwitch: Transport["onSwitch"]) {
    this.#onSwitch = onSwitch;
  }

  /** Whether to ask a server. Of those that do it at the same time, one asks again. */
  asks(address: () => string): boolean {
    if (this.#without.size === 0) return true;
    const server = address();
    const refusal = this.#without.get(server);
    if (refusal === undefined) return true;
    const now = performance.now();
    if (!this.#maySwitch || now - refusal.asked < PAUSE) return false;
    this.#without.set(server, { asked: now, isOpen: true });
    return true;
  }

  /** A server that was asked did compare. */
  works(address: () => string): void {
    if (this.#without.size === 0) return;
    const server = address();
    // Another server behind the same address may have refused since this one was asked.
    if (this.#without.get(server)?.isOpen) this.#without.delete(server);
  }

  /** A server that was asked does not compare. */
  refused(address: () => string): void {
    this.#without.set(address(), { asked: performance.now(), isOpen: false });
    this.#maySwitch = this.#onSwitch === undefined;
    if (this.#listens) return;
    this.#listens = true;
    this.#onSwitch?.(() => {
      this.#maySwitch = true;
    });
  }
}

const known = new WeakMap<object, Comparing>();

/** What is known of the servers of a client, by all its stores: they listen to it once. */
export function comparingOf(client: object, transport: Transport): Comparing {
  let comparing = known.get(client);
  if (comparing === undefined) {
    comparing = new Comparing(transport.onSwitch);
    known.set(client, comparing);
  }
  return comparing;
}
