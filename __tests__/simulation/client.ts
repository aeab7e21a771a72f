// A client of the simulated Redis in the form of node-redis, and the network in between. The store takes
// an `Adapter` as well, which would be shorter. But behind that one deadlines, health, the tracking of
// reads, compare-and-set with and without the server's own, and what became of a command are the
// adapter's affair: the library's half that most findings were about would not run.
import { EventEmitter } from "node:events";
import {
  type Bytes,
  digestOf,
  Refusal,
  type Reply,
  type SimulatedRedis,
  Status,
  textOf,
} from "./redis.js";
import type { Chance, Clock, Time } from "./time.js";

/** What may happen to the next command of a client. */
export type Fault =
  /** It is executed, its answer is lost with the connection. */
  | "answer lost"
  /** It is executed, its answer comes after the deadline. */
  | "answer late"
  /** It is executed after its deadline; what is behind it on the connection waits. */
  | "command late"
  /** The connection is lost before it is executed. */
  | "command lost"
  /** The connection is lost and replaced, and the server executes it later. */
  | "command left behind"
  /** It is executed, the connection is lost, and the client sends it again. */
  | "command twice"
  /** It takes its time to arrive, and so does what is behind it. */
  | "command slow"
  /** The same of its answer. */
  | "answer slow";

/** The faults that leave the app without an answer. */
export const FAULTS: readonly Fault[] = [
  "answer lost",
  "answer late",
  "command late",
  "command lost",
  "command left behind",
  "command twice",
];

/** What lies between the clients and the server. */
export interface Network {
  readonly time: Time;
  readonly server: SimulatedRedis;
  readonly chance: Chance;
  /** The stores' `timeout`, by which faults are measured. */
  readonly timeout: number;
  /** Until when the server takes no connections. */
  downUntil: number;
  /** Until when it executes nothing. */
  pausedUntil: number;
  /** Told of each command that a client sends again. */
  readonly onRepeat: (process: string, words: readonly Value[]) => void;
  /** Told what goes on; `undefined` where nobody reads it. */
  readonly tell: ((what: string) => void) | undefined;
  /** What Redis holds for a session, for readers. */
  readonly shown: (stored: Buffer, sid: string) => string;
}

/** The process that looks at what is left in the end; nothing disturbs it. */
export const OBSERVER = "observer";

/** What is slow takes this share of the stores' `timeout`. */
const SLOW = 0.6;

const LATENCIES = [0, 1, 1, 1, 2, 2, 3, 5, 8, 13];

/** Session keys begin with this. */
export const SESSIONS = "s:";
/** A session as it is stored, in JSON or sealed. */
const SESSION = /^(?:\{"|rss1\.)/;

/** Which commands only read. */
const READS = new Set([
  "GET",
  "MGET",
  "PTTL",
  "SCAN",
  "PING",
  "CLIENT",
  "CONFIG",
  "PSUBSCRIBE",
  "ZSCAN",
  "TYPE",
]);

type Value = string | Uint8Array;

interface Asked {
  readonly words: Value[];
  readonly at: number;
  readonly bytes: boolean;
  readonly resolve: (reply: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** One connection. What is sent first arrives first, both ways. */
export class Link {
  readonly name: string;
  /** Whose it is. */
  readonly process: string;
  /** What was asked and not answered. */
  readonly waiting: Asked[] = [];
  /** The keys that the server announces changes of. */
  readonly tracked = new Set<Bytes>();
  /** What the channels begin with that it has subscribed to. */
  readonly subscribed: Bytes[] = [];
  isOpen = true;
  readonly #network: Network;
  readonly #client: SimulatedClient;
  /** How many of the commands that have not arrived will: those before a connection was lost. */
  #left = Number.POSITIVE_INFINITY;
  #sent = 0;
  #arrives = 0;
  #answers = 0;

  constructor(name: string, network: Network, client: SimulatedClient) {
    this.name = name;
    this.process = client.name.split("+")[0] as string;
    this.#network = network;
    this.#client = client;
  }

  send(asked: Asked, fault: Fault | undefined): void {
    const { time, timeout, chance } = this.#network;
    const name = `${this.name} ${this.#sent++}`;
    this.waiting.push(asked);
    // It is lost already, which the client has not heard yet.
    if (!this.isOpen) return;
    const late = timeout * (1.1 + 2 * chance.of(`${name} late`));
    if (fault === "command lost") {
      time.at(time.now + this.#latency(name), this.#client.clock, () => this.cut(0));
      return;
    }
    if (fault === "command left behind") {
      time.at(time.now + this.#latency(name), this.#client.clock, () => this.cut(Infinity));
    }
    const isLate = fault === "command late" || fault === "command left behind";
    const slow = fault === "command slow" ? timeout * SLOW : 0;
    const travel = isLate ? late : this.#latency(`${name} up`) + slow;
    this.#arrives = Math.max(this.#arrives, Math.ceil(time.now + travel));
    time.at(this.#arrives, undefined, () => this.#execute(asked, fault, name, late));
  }

  /** The server announces a change of what was read. */
  announce(key: Bytes | null): void {
    this.#push(() => {
      const what = key === null ? "everything" : textOf(key);
      this.#network.tell?.(`${this.name} hears that ${what} has changed`);
      this.#client.emit("invalidate", key === null ? null : textOf(key));
    });
  }

  /** The server tells who has subscribed what one command did: at once, but it may come in pieces. */
  publish(channel: string, messages: readonly string[]): void {
    for (const [index, message] of messages.entries()) {
      const hear = () => {
        this.#network.tell?.(`${this.name} hears ${message} on ${channel}`);
        this.#client.hear(channel, message);
      };
      this.#push(hear, index === 0);
    }
  }

  /** What the server says unasked, behind what it has answered before. */
  #push(hear: () => void, mayBeLate = true): void {
    const { time, timeout, chance } = this.#network;
    const name = `${this.name} ${this.#sent++} announced`;
    const late = mayBeLate && chance.of(`${name} late`) < 0.05 ? timeout * 1.5 : 0;
    this.#answers = Math.max(this.#answers, Math.ceil(time.now + this.#latency(name) + late));
    time.at(this.#answers, this.#client.clock, () => {
      if (this.isOpen) hear();
    });
  }

  /**
   * The connection is lost.
   *
   * @param left - how many of the commands under way the server executes nevertheless
   */
  cut(left = this.#network.chance.pick([0, 1, Infinity], `${this.name} ${this.#sent} cut`)): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#left = left;
    this.tracked.clear();
    this.#network.tell?.(`${this.name} loses its connection`);
    const { time } = this.#network;
    time.at(time.now, this.#client.clock, () => this.#client.lost(this));
  }

  /** The process is dead: what it has sent may arrive all the same. */
  abandon(): void {
    this.isOpen = false;
    this.tracked.clear();
    this.#left = this.#network.chance.pick([0, 1, Infinity], `${this.name} ${this.#sent} dead`);
  }

  #execute(asked: Asked, fault: Fault | undefined, name: string, late: number): void {
    const { time, tell } = this.#network;
    if (!this.isOpen && this.#left-- <= 0) return;
    const { pausedUntil, downUntil } = this.#network;
    if (time.now < downUntil) return;
    if (time.now < pausedUntil) {
      this.#arrives = Math.max(this.#arrives, pausedUntil);
      time.at(pausedUntil, undefined, () => this.#execute(asked, fault, name, late));
      return;
    }
    const reply = this.#reply(asked.words);
    if (tell) {
      const { words } = asked;
      const read = readerOf(words, this.#network);
      const done = `${shownCommand(words, read)} → ${shownReply(reply, read)}`;
      tell(`${this.name}: ${done}${fault ? ` (${fault})` : ""}`);
    }
    if (!this.isOpen) return;
    if (fault === "answer lost" || fault === "command twice") {
      if (fault === "command twice") this.#client.again = asked;
      time.at(time.now + this.#latency(name), this.#client.clock, () => this.cut());
      return;
    }
    const slow = fault === "answer slow" ? this.#network.timeout * SLOW : 0;
    const travel = fault === "answer late" ? late : this.#latency(`${name} down`) + slow;
    this.#answers = Math.max(this.#answers, Math.ceil(time.now + travel));
    time.at(this.#answers, this.#client.clock, () => {
      if (!this.isOpen) return;
      this.waiting.splice(this.waiting.indexOf(asked), 1);
      if (reply instanceof Refusal) asked.reject(new Error(reply.message));
      else asked.resolve(converted(reply, asked.bytes));
    });
  }

  #reply(words: Value[]): Reply {
    if (words[0] !== "PSUBSCRIBE") return this.#network.server.execute(words, this);
    // A prefix and a star, with what means something to a pattern escaped.
    this.subscribed.push(String(words[1]).slice(0, -1).replaceAll("\\", ""));
    return null;
  }

  #latency(name: string): number {
    const { chance, timeout } = this.#network;
    if (this.process === OBSERVER) return 1;
    if (chance.of(`${name} slow`) < 0.01) return timeout * SLOW;
    return chance.pick(LATENCIES, name);
  }
}

interface ClientOptions {
  readonly socket?: { readonly reconnectStrategy?: false };
  readonly disableOfflineQueue?: boolean;
  readonly emitInvalidate?: boolean;
  readonly RESP?: number;
}

interface CommandOptions {
  readonly typeMapping?: Record<number, unknown>;
  readonly abortSignal?: AbortSignal;
}

/** A client in the form of node-redis. */
export class SimulatedClient extends EventEmitter {
  isOpen = false;
  isReady = false;
  readonly options: ClientOptions;
  readonly clock: Clock;
  readonly name: string;
  /** What it sends again with its next connection. */
  again: Asked | undefined;
  readonly #network: Network;
  #link: Link | undefined;
  #links = 0;
  #children = 0;
  readonly #queue: Asked[] = [];
  readonly #listeners = new Set<(message: string, channel: string) => void>();
  readonly #faults: { readonly fault: Fault; readonly writes: boolean; after: number }[] = [];
  readonly #all: SimulatedClient[];

  /** @param all - the clients of the process, this one and those made of it */
  constructor(
    name: string,
    network: Network,
    clock: Clock,
    options: ClientOptions = {},
    all: SimulatedClient[] = [],
  ) {
    super();
    this.name = name;
    this.#network = network;
    this.clock = clock;
    this.options = options;
    this.#all = all;
    all.push(this);
    // As of an app that logs what its client complains about.
    if (all.length === 1) this.on("error", () => {});
  }

  /** The clients of the process. */
  get family(): readonly SimulatedClient[] {
    return this.#all;
  }

  get link(): object | undefined {
    return this.#link;
  }

  duplicate(overrides: ClientOptions): SimulatedClient {
    if (overrides.emitInvalidate && overrides.RESP === 2) {
      throw new Error("emitInvalidate is only supported with RESP3");
    }
    const name = `${this.name}+${++this.#children}`;
    return new SimulatedClient(name, this.#network, this.clock, overrides, this.#all);
  }

  /** Has something happen to the next command, or to the next that writes, after so many of them. */
  arm(fault: Fault, writes: boolean, after = 0): void {
    this.#faults.push({ fault, writes, after });
  }

  connect(): Promise<void> {
    this.isOpen = true;
    return new Promise((resolve, reject) => {
      const { time, chance } = this.#network;
      const name = `${this.name} ${++this.#links} connects`;
      const took = 1 + chance.below(5, name);
      time.at(time.now + took, this.clock, () => {
        if (!this.isOpen) return reject(new Error("The client is closed"));
        if (time.now < this.#network.downUntil) {
          const error = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
          if (this.listenerCount("error") > 0) this.emit("error", error);
          if (this.options.socket?.reconnectStrategy === false) return reject(error);
          return this.#reconnect(resolve);
        }
        this.#link = new Link(`${this.name}/${this.#links}`, this.#network, this);
        this.isReady = true;
        this.emit("ready");
        const { again } = this;
        this.again = undefined;
        // What the store has given up is not sent again: that is its transport's business.
        if (again && time.now - again.at < this.#network.timeout) {
          this.#network.onRepeat(this.#link.process, again.words);
          this.#transmit(again);
        } else again?.reject(new Error("Socket closed unexpectedly"));
        for (const asked of this.#queue.splice(0)) this.#transmit(asked);
        resolve();
      });
    });
  }

  sendCommand(words: Value[], { typeMapping, abortSignal }: CommandOptions = {}): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (!this.isOpen) return reject(new Error("The client is closed"));
      const { now } = this.#network.time;
      const bytes = typeMapping?.[36] === Buffer;
      const asked: Asked = { words: [...words], at: now, bytes, resolve, reject };
      if (this.isReady) return this.#transmit(asked);
      if (this.options.disableOfflineQueue) return reject(new Error("The client is offline"));
      this.#queue.push(asked);
      abortSignal?.addEventListener("abort", () => {
        const place = this.#queue.indexOf(asked);
        if (place < 0) return;
        this.#queue.splice(place, 1);
        reject(Object.assign(new Error("The command was aborted"), { name: "AbortError" }));
      });
    });
  }

  ping(): Promise<unknown> {
    return this.sendCommand(["PING"]);
  }

  pSubscribe(pattern: string, listener: (message: string, channel: string) => void) {
    this.#listeners.add(listener);
    return this.sendCommand(["PSUBSCRIBE", pattern]);
  }

  /** Told by a link. */
  hear(channel: string, message: string): void {
    for (const listener of this.#listeners) listener(message, channel);
  }

  /** The server publishes something. */
  publish(channel: string, messages: readonly string[]): void {
    const link = this.#link;
    if (link?.subscribed.some((start) => channel.startsWith(start)))
      link.publish(channel, messages);
  }

  unref(): void {}

  destroy(): void {
    this.isOpen = false;
    this.isReady = false;
    this.#link?.abandon();
    for (const { reject } of this.#link?.waiting ?? [])
      reject(new Error("The client was destroyed"));
    this.#link = undefined;
  }

  /** The process is dead. */
  abandon(): void {
    this.#link?.abandon();
  }

  /** The connection is lost, by whatever; the client makes a new one. */
  cut(): void {
    this.#link?.cut();
  }

  /** Told by a link. */
  lost(link: Link): void {
    if (link !== this.#link) return;
    this.#link = undefined;
    this.isReady = false;
    const error = new Error("Socket closed unexpectedly");
    for (const { reject } of link.waiting.filter((each) => each !== this.again)) reject(error);
    if (this.listenerCount("error") > 0) this.emit("error", error);
    if (this.options.socket?.reconnectStrategy === false) {
      this.isOpen = false;
      this.emit("end");
    } else this.#reconnect();
  }

  /** The server announces a change, over the connections that have read the key. */
  invalidate(key: Bytes | null, author: object | undefined): void {
    const link = this.#link;
    if (link === undefined || !this.options.emitInvalidate || link === author) return;
    if (key === null ? link.tracked.size > 0 : link.tracked.delete(key)) link.announce(key);
    if (key === null) link.tracked.clear();
  }

  /** The server remembers what was read. */
  track(key: Bytes, link: object | undefined): void {
    if (link === this.#link && this.options.emitInvalidate) this.#link?.tracked.add(key);
  }

  #reconnect(connected = () => {}): void {
    const { time, chance } = this.#network;
    const pause = chance.pick([5, 20, 50, 100], `${this.name} ${this.#links} pause`);
    this.emit("reconnecting");
    time.at(time.now + pause, this.clock, () => {
      if (this.isOpen) this.connect().then(connected, () => {});
    });
  }

  #transmit(asked: Asked): void {
    const name = String(asked.words[0]).toUpperCase();
    const at = this.#faults.findIndex((each) => {
      const isMeant = !each.writes || !READS.has(name);
      return isMeant && each.after-- <= 0;
    });
    const fault = at < 0 ? undefined : this.#faults.splice(at, 1)[0]?.fault;
    (this.#link as Link).send(asked, fault);
  }
}

function converted(reply: Reply, bytes: boolean): unknown {
  if (Array.isArray(reply)) return reply.map((each) => converted(each, bytes));
  if (reply instanceof Status) return reply.text;
  if (typeof reply !== "string") return reply;
  return bytes ? Buffer.from(reply, "latin1") : textOf(reply);
}

/** Shows a text or bytes to readers. */
type Read = (value: Value) => string;

/** Sessions are shown by what is in them. */
function readerOf(words: Value[], { shown }: Network): Read {
  const key = words.map(String).find((word) => word.startsWith(SESSIONS));
  return (value) => {
    const text = typeof value === "string" ? value : Buffer.from(value).toString("latin1");
    if (!SESSION.test(text)) return text;
    return shown(Buffer.from(text, "latin1"), (key ?? "").slice(SESSIONS.length));
  };
}

/** A command for readers: a script by its digest, as EVALSHA has it. */
function shownCommand([name = "", ...rest]: Value[], read: Read): string {
  const words = rest.map((word) => {
    const text = read(word);
    if (text.includes("redis.call")) return digestOf(text);
    return text.length > 500 ? `${text.slice(0, 30)}…` : text === "" ? '""' : text;
  });
  return [name, ...words].join(" ").replace(/[\n\r]/g, " ");
}

function shownReply(reply: Reply, read: Read): string {
  if (reply === null) return "nil";
  if (reply instanceof Refusal) return reply.message;
  if (reply instanceof Status) return reply.text;
  if (Array.isArray(reply)) return `[${reply.map((each) => shownReply(each, read)).join(" ")}]`;
  return typeof reply === "string" ? read(reply) : String(reply);
}
