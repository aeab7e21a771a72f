// A simulated process of an app: the library as it is, on a clock, a client and chances of its own.
import * as crypto from "node:crypto";
import { join } from "node:path";
import type { RedisStore, Script } from "../../lib/index.js";
import { SealingKey } from "../../lib/session/seal.js";
import { type Network, SESSIONS, SimulatedClient } from "./client.js";
import { Loader, type Patch, root } from "./loader.js";
import { TIMEOUT, TTL, type Variant } from "./plan.js";
import { Chance, Clock, globalsOf, Time } from "./time.js";

type Tree = Record<string, unknown>;

/** A session as express-session makes it. */
export interface LiveSession extends Tree {
  readonly id: string;
  cookie: { originalMaxAge: number | null; maxAge: number | null };
  touch(): unknown;
}

interface Library {
  readonly RedisStore: typeof RedisStore;
}

/** What of express-session a request needs. */
interface ExpressSession {
  readonly Session: new (req: object) => LiveSession;
  readonly Cookie: new (options: object) => LiveSession["cookie"];
}

const LIB = join(root, "lib");
const EXPRESS_SESSION = join(root, "node_modules/express-session");
export const PREFIX = SESSIONS;

/**
 * The library as the processes have it. Loading takes long, and so does it until it is fast. So one copy
 * serves all of them, in all runs: the library keeps nothing in its modules, and whose turn it is has
 * the clock, the chances and the globals.
 */
export class Room {
  readonly library: Library;
  readonly express: ExpressSession;
  #time = new Time();
  #chance = new Chance(0);
  /** What all modules of a process share, whichever copy of the library they are of. */
  readonly #global: Record<symbol, unknown>;
  readonly #channels = new Map<string, Channel>();

  constructor(patches: Patch[]) {
    this.#global = { [WRITES]: new SetOfEach(() => this.#turn) };
    const globals = {
      ...globalsOf(() => this.#turn),
      globalThis: this.#global,
      WeakRef: StrongRef,
    };
    const { setTimeout, setImmediate, performance } = globals as unknown as {
      setTimeout: (run: () => void, ms: number) => void;
      setImmediate: (run: () => void) => void;
      performance: object;
    };
    const bytes = (size: number) => this.#bytes(size);
    const replaced = {
      "node:perf_hooks": { performance },
      "node:timers/promises": {
        setTimeout: (ms: number, value: unknown) =>
          new Promise((resolve) => setTimeout(() => resolve(value), ms)),
        setImmediate: (value: unknown) =>
          new Promise((resolve) => setImmediate(() => resolve(value))),
      },
      "node:crypto": {
        ...crypto,
        randomBytes: bytes,
        randomUUID: () => bytes(16).toString("hex"),
        randomInt: (most: number) => bytes(4).readUInt32BE() % most,
        randomFillSync: (buffer: Uint8Array) => {
          buffer.set(bytes(buffer.byteLength));
          return buffer;
        },
      },
      "node:diagnostics_channel": {
        channel: (name: string) => {
          const channel = this.#channels.get(name) ?? new Channel();
          this.#channels.set(name, channel);
          return channel;
        },
      },
      "lru-cache": { LRUCache: SmallCache },
    };
    const isOwn = (file: string) => file.startsWith(LIB) || file.startsWith(EXPRESS_SESSION);
    const loader = new Loader({ globals, replaced, isOwn, patches });
    this.library = loader.load(join(LIB, "index.ts")) as Library;
    this.express = loader.load(join(EXPRESS_SESSION, "index.js")) as unknown as ExpressSession;
    for (const [name, value] of loader.exports()) {
      const script = value as Partial<Script> | undefined;
      if (typeof script?.sha === "string" && typeof script.source === "string") {
        SCRIPTS.set(script.sha, name);
      }
    }
  }

  /** A run begins. */
  enter({ time, chance }: Network): void {
    this.#time = time;
    this.#chance = chance;
    for (const channel of this.#channels.values()) channel.clear();
  }

  get #turn(): Clock {
    return this.#time.turn as Clock;
  }

  #bytes(size: number): Buffer {
    const turn = this.#turn;
    return Buffer.from(
      Array.from({ length: size }, () =>
        this.#chance.below(256, `${turn.name} bytes ${turn.drawn++}`),
      ),
    );
  }
}

/** By this name the copies of the library in a process share who listens to writes. */
const WRITES = Symbol.for("redis-session-store:writes:1");

/** A set that each process has its own of. */
class SetOfEach<T> {
  readonly #turn: () => object;
  readonly #sets = new WeakMap<object, Set<T>>();

  constructor(turn: () => object) {
    this.#turn = turn;
  }

  get size(): number {
    return this.#own.size;
  }

  add(value: T): this {
    this.#own.add(value);
    return this;
  }

  delete(value: T): boolean {
    return this.#own.delete(value);
  }

  [Symbol.iterator]() {
    return this.#own.values();
  }

  get #own(): Set<T> {
    const turn = this.#turn();
    const own = this.#sets.get(turn) ?? new Set();
    this.#sets.set(turn, own);
    return own;
  }
}

/** When memory is freed shall change nothing. */
class StrongRef<T> {
  readonly #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  deref(): T {
    return this.#value;
  }
}

/** A channel of node:diagnostics_channel that only this process has. */
class Channel {
  readonly #listeners = new Set<(message: unknown) => void>();

  get hasSubscribers(): boolean {
    return this.#listeners.size > 0;
  }

  subscribe(listener: (message: unknown) => void): void {
    this.#listeners.add(listener);
  }

  unsubscribe(listener: (message: unknown) => void): boolean {
    return this.#listeners.delete(listener);
  }

  publish(message: unknown): void {
    for (const listener of this.#listeners) listener(message);
  }

  runStores<Result>(message: unknown, work: () => Result): Result {
    this.publish(message);
    return work();
  }

  clear(): void {
    this.#listeners.clear();
  }
}

/** The names of the library's scripts, for readers. */
export const SCRIPTS = new Map<string, string>();

/** A cache that forgets soon: what a process remembers of 50,000 sessions, it remembers here of eight. */
class SmallCache<Value> {
  readonly #entries = new Map<string, Value>();
  readonly #max: number;

  constructor({ max }: { max: number }) {
    this.#max = Math.min(max, 8);
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): Value | undefined {
    const value = this.#entries.get(key);
    if (value !== undefined) this.set(key, value);
    return value;
  }

  peek(key: string): Value | undefined {
    return this.#entries.get(key);
  }

  has(key: string): boolean {
    return this.#entries.has(key);
  }

  set(key: string, value: Value): this {
    this.#entries.delete(key);
    this.#entries.set(key, value);
    if (this.#entries.size > this.#max)
      this.#entries.delete([...this.#entries.keys()][0] as string);
    return this;
  }

  delete(key: string): boolean {
    return this.#entries.delete(key);
  }

  clear(): void {
    this.#entries.clear();
  }

  keys() {
    return this.#entries.keys();
  }

  values() {
    return this.#entries.values();
  }

  entries() {
    return this.#entries.entries();
  }

  [Symbol.iterator]() {
    return this.#entries.entries();
  }
}

/** A process of the app. */
export class AppServer {
  readonly name: string;
  readonly clock: Clock;
  readonly client: SimulatedClient;
  readonly stores: RedisStore[];
  readonly express: ExpressSession;
  /** How many of the next sessions its serializer fails to write. */
  failing = 0;
  /** Told when it does. */
  onRefusal: () => void = () => {};
  readonly #network: Network;
  #salt = 0;

  /** @param stores - how many stores it has */
  constructor(name: string, room: Room, network: Network, variant: Variant, stores: number) {
    this.name = name;
    this.#network = network;
    this.express = room.express;
    this.clock = new Clock(name, network.time);
    this.isUp();
    this.client = new SimulatedClient(name, network, this.clock);
    this.client.connect().catch(() => {});
    const { library } = room;
    this.stores = Array.from(
      { length: stores },
      () => new library.RedisStore(this.#options(variant) as never),
    );
  }

  /** What is done next is done by this process. */
  isUp(): void {
    this.#network.time.turn = this.clock;
  }

  get isDead(): boolean {
    return this.clock.isDead;
  }

  /** The process ends between two commands. */
  kill(): void {
    this.clock.isDead = true;
    for (const client of this.client.family) client.abandon();
  }

  #options(variant: Variant): object {
    const {
      rolling,
      absolute,
      touchAfter,
      conflict,
      users,
      limit,
      rejects,
      cache,
      endings,
      sealed,
      disableTTL,
      disableTouch,
      requireNewId,
    } = variant;
    // A key is being replaced by another one: some servers have the new configuration already.
    const write = sealed === "two keys" && this.name.startsWith("app2") ? "l" : "k";
    return {
      client: this.client,
      prefix: PREFIX,
      ttl: TTL,
      timeout: TIMEOUT,
      rolling,
      touchAfter,
      ...(absolute && { absoluteTtl: 2 * TTL }),
      conflict: conflict === "function" ? takeMine : conflict,
      ...(users && { userId: (session: Tree) => session.user }),
      ...(users &&
        limit && { maxSessionsPerUser: limit, onLimit: rejects ? "reject" : "evict-oldest" }),
      ...(cache && { cache: { max: 3 } }),
      ...(endings && { endings: { keepFor: 60 } }),
      ...(disableTTL && { disableTTL }),
      ...(disableTouch && { disableTouch }),
      ...(users && requireNewId && { requireNewId }),
      ...(sealed && { encryption: { keys: KEYS, write, plaintextUntil: null } }),
      serializer: this.#serializer(variant),
    };
  }

  #serializer({ serializer }: Variant): object {
    const stringify = (session: object) => {
      if (this.failing > 0) {
        this.failing--;
        this.onRefusal();
        throw new Error("the serializer fails");
      }
      return JSON.stringify(session);
    };
    switch (serializer) {
      case "salted":
        return {
          parse: (text: string) => parse(text),
          stringify: (session: object) =>
            `{"salt":"${this.name} ${this.#salt++}",${stringify(session).slice(1)}`,
        };
      case "binary":
        return {
          binary: true,
          parse: (bytes: Buffer) => parse(bytes.toString()),
          stringify: (session: object) => Buffer.from(stringify(session)),
        };
      case "slow": {
        const { time, chance } = this.#network;
        let asked = 0;
        const slowly = <T>(work: () => T) => {
          const took = chance.pick([0, 1, 5, 20], `${this.name} serializes ${asked++}`);
          const result = new Promise<T>((resolve) => resolve(work()));
          // It fails as late as it succeeds.
          result.catch(() => {});
          return new Promise<T>((resolve) => {
            time.at(time.now + took, this.clock, () => resolve(result));
          });
        };
        return {
          parse: (text: string) => slowly(() => parse(text)),
          stringify: (session: object) => slowly(() => stringify(session)),
        };
      }
      case "json":
        // The very object, which the library knows. It never fails.
        return JSON;
    }
  }
}

const KEYS = {
  k: Buffer.alloc(32, "a secret of no value"),
  l: Buffer.alloc(32, "another secret of no value"),
};
const sealing = new Map(
  Object.entries(KEYS).map(([id, secret]) => [
    id,
    new SealingKey(id, crypto.createSecretKey(secret), "", PREFIX),
  ]),
);

/** What Redis holds of a session, as JSON. */
export function opened(stored: Buffer, sid: string): string {
  const text = stored.toString();
  if (!text.startsWith("rss1.")) return text;
  const plain = sealing.get(text.split(".")[1] as string)?.open(text, sid);
  if (!Buffer.isBuffer(plain)) throw new Error(`${sid} cannot be opened: ${plain}`);
  return plain.toString();
}

/** A stored session without what only the serializer knows of. */
export function parse(text: string): Tree {
  const { salt: _, ...session } = JSON.parse(text) as Tree;
  return session;
}

/** What a merge does, for places at the top. */
function takeMine(ancestor: Tree, current: Tree, mine: Tree): Tree {
  const result: Tree = { ...current };
  for (const key of new Set([...Object.keys(ancestor), ...Object.keys(mine)])) {
    if (JSON.stringify(ancestor[key]) === JSON.stringify(mine[key])) continue;
    if (mine[key] === undefined) delete result[key];
    else result[key] = mine[key];
  }
  const [before, now] = [ancestor, mine].map(
    ({ cookie }) => (cookie as Partial<LiveSession["cookie"]> | undefined)?.originalMaxAge,
  );
  return { ...result, cookie: before === now ? current.cookie : mine.cookie };
}
