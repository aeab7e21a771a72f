// The port over any client that can send raw commands.
import { performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import {
  isNoScript,
  isRedirect,
  isSyntaxError,
  StoreError,
  withoutConnection,
} from "../base/index.js";
import { patternOf, type Value } from "../session/index.js";
import { type Bookmark, bookmarkOf, bookmarkText, nameOf, START } from "./bookmark.js";
import { COMPARE_AND_SET, type Comparing } from "./compare.js";
import { Deadline, type DeadlineOptions } from "./deadline.js";
import { Health } from "./health.js";
import { type Layout, layoutOf } from "./layout.js";
import { noteUnsent } from "./outcome.js";
import type { KeyPage, KeyType, Port, Size, TimeToLive } from "./port.js";
import { Probe } from "./probe.js";
import { type Page, scanAll } from "./scan.js";
import { MEASURE, READ_ON_PRIMARY, type Script } from "./script.js";
import { Switches } from "./switches.js";
import { type Command, type Primary, type Transport, Wait } from "./transport.js";
import { watchConnection } from "./watchman.js";
import { writing } from "./writes.js";

/** Before a command is sent again that was redirected too often, in ms. */
const PAUSE = 20;

/** So often it is sent at the most, however long the timeout is. */
const MOST_ATTEMPTS = 250;

/** The port over any client that can send raw commands. */
export class Commands implements Port {
  readonly #transport: Transport;
  readonly #binary: boolean;
  readonly #timeout: number;
  /** The last of what is sent again. */
  #redirected: Promise<unknown> = Promise.resolve();
  readonly #deadline: Deadline;
  readonly #health: Health;
  readonly #switches: Switches;
  readonly #comparing: Comparing;
  readonly #stopWatching: () => void;
  /** What a key needs in front of it to be sent. */
  readonly #prefix: string;

  /**
   * @param comparing - which of the servers compare and set by themselves
   * @param timeout - how long one round trip may take, in ms
   * @param onHealth - told when the server goes down and when it is up again
   */
  constructor(
    transport: Transport,
    comparing: Comparing,
    binary: boolean,
    timeout: number,
    onHealth: (isDown: boolean) => void,
  ) {
    this.#transport = transport;
    this.#comparing = comparing;
    this.#binary = binary;
    this.#timeout = timeout;
    this.#health = new Health({
      timeout,
      probe: () => probe.ask(),
      confirm: transport.primaries !== undefined,
      host: () => transport.host(),
      unavailable: (what) => this.#unavailable(what),
      onChange: onHealth,
    });
    const deadline: DeadlineOptions = {
      timeout,
      host: () => transport.host(),
      observer: this.#health,
      connection: transport.connection && (() => transport.connection?.() as number),
    };
    this.#deadline = new Deadline(deadline);
    const probe = new Probe(transport, new Deadline({ ...deadline, holdsProcess: false }));
    transport.complaints?.watch();
    this.#stopWatching = watchConnection(this.#health, transport, timeout);
    this.#switches = new Switches(transport.onSwitch);
    this.#prefix = transport.addsPrefix ? "" : transport.keyPrefix;
  }

  close(): void {
    this.#stopWatching();
    this.#health.close();
  }

  get isOrdered(): boolean {
    return this.#transport.isOrdered;
  }

  get(key: string): Promise<Value | null> {
    return this.#read("GET", [this.#prefix + key], this.#binary);
  }

  async set(key: string, value: Value, px: TimeToLive, when?: "existing" | "new") {
    const command: Command = ["SET", this.#prefix + key, value];
    if (px === "keep") command.push("KEEPTTL");
    else if (px !== null) command.push("PX", String(px));
    if (when !== undefined) command.push(when === "new" ? "NX" : "XX");
    return (await this.#writing([key], this.#send(command))) !== null;
  }

  async expire(key: string, px: number, when?: "longer"): Promise<boolean> {
    const command = ["PEXPIRE", this.#prefix + key, String(px)];
    if (when === "longer") command.push("GT");
    // valkey-glide makes a boolean of the reply.
    return Number(await this.#writing([key], this.#send(command))) === 1;
  }

  replace(
    key: string,
    expected: Value,
    value: Value,
    px: TimeToLive,
    onAgain?: () => void,
  ): Promise<true | null | Value> {
    return this.#writing([key], this.#replace(key, expected, value, px, onAgain));
  }

  async #replace(
    key: string,
    expected: Value,
    value: Value,
    px: TimeToLive,
    onAgain?: () => void,
  ): Promise<true | null | Value> {
    const whole = this.#prefix + key;
    const server = () => this.#transport.primaryOf?.(whole) ?? "";
    // Without PX, Valkey hands the condition on to its replicas, and an older one stops following.
    if (typeof px === "number" && this.#comparing.asks(server)) {
      try {
        const reply = await this.#compareAndSet(whole, expected, value, px, onAgain);
        this.#comparing.works(server);
        return reply;
      } catch (error) {
        if (!isSyntaxError(error)) throw error;
        this.#comparing.refused(server);
        onAgain?.();
      }
    }
    const args = [expected, value, String(px ?? "")];
    const binary = this.#binary;
    const reply = await this.#run<number | Value>(COMPARE_AND_SET, [whole], args, binary, onAgain);
    return typeof reply === "number" ? reply === 1 || null : reply;
  }

  /** As `replace`, by the server's own comparison. */
  async #compareAndSet(
    key: string,
    expected: Value,
    value: Value,
    px: number,
    onAgain?: () => void,
  ): Promise<true | null | Value> {
    const command: Command = ["SET", key, value, "IFEQ", expected, "PX", String(px)];
    // An answer with the old value would cost more than the rare second question.
    if ((await this.#send(command, false, key)) !== null) return true;
    onAgain?.();
    // In bytes, as the server compares: texts that differ may be read as the same.
    const there = await this.#send<Value | null>([...command, "GET"], true, key);
    if (there === null) return null;
    // The clients of the legacy entry answer in text only, where a lost byte looks like any other.
    if (typeof there === "string") {
      return there === expected && !there.includes("\ufffd") ? true : there;
    }
    if (there.equals(typeof expected === "string" ? Buffer.from(expected) : expected)) return true;
    return this.#binary ? there : there.toString();
  }

  remove(key: string): Promise<number> {
    return this.#writing([key], this.#send(["DEL", this.#prefix + key]));
  }

  run(script: Script, key: string, args: Value[], onAgain?: () => void): Promise<number | Value> {
    const keys = [this.#prefix + key];
    return this.#writing([key], this.#run(script, keys, args, this.#binary, onAgain));
  }

  runOn(script: Script, keys: string[], args: string[]): Promise<unknown> {
    return this.#run(script, this.#prefixed(keys), args, false);
  }

  async *scan(prefix: string, count: number, type: KeyType = "string"): AsyncGenerator<string[]> {
    const { keyPrefix } = this.#transport;
    const options = ["MATCH", patternOf(keyPrefix + prefix), "COUNT", String(count)];
    options.push("TYPE", type);
    this.#switches.watch();
    try {
      const batches = scanAll({
        primaries: () => this.#primaries(),
        layout: (primary) => this.#layout(primary),
        page: (primary, cursor) => this.#page(primary, ["SCAN", cursor, ...options]),
        switches: () => this.#switches.count,
        patience: this.#timeout,
      });
      const own = keyPrefix.length;
      for await (const keys of batches) {
        yield own === 0 ? keys : keys.map((key) => key.slice(own));
      }
    } finally {
      this.#switches.unwatch();
    }
  }

  async page(
    prefix: string,
    count: number,
    cursor: string | null,
    type: KeyType = "string",
  ): Promise<KeyPage> {
    const from = cursor === null ? START : bookmarkOf(cursor);
    const { keyPrefix } = this.#transport;
    const options = ["MATCH", patternOf(keyPrefix + prefix), "COUNT", String(count), "TYPE", type];
    const primaries = await this.#primaries();
    const left = primaries
      .map((primary) => ({ primary, name: nameOf(primary.address) }))
      .filter(({ name }) => !from.done.includes(name))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    const same = left.find(({ name }) => name === from.at);
    const here = same ?? left[0];
    if (here === undefined) return { keys: [], cursor: null };
    const ask = (at: string) => this.#page(here.primary, ["SCAN", at, ...options]);
    const at = same === undefined ? "0" : from.cursor;
    let [page, run] = await Promise.all([ask(at), this.#runOf(here.primary)]);
    // Another server, or the same one started anew, numbers its keys in another way.
    if (at !== "0" && run !== from.run) page = await ask("0");
    const [next, found] = page;
    const keys = found.map((key) => key.slice(keyPrefix.length));
    const isDone = next === "0";
    const after: Bookmark = isDone
      ? { ...START, done: [...from.done, here.name] }
      : { cursor: next, run, at: here.name, done: from.done };
    return { keys, cursor: isDone && left.length === 1 ? null : bookmarkText(after) };
  }

  async ping(): Promise<void> {
    await this.#everywhere(["PING"]);
  }

  async time(): Promise<number> {
    const times = await this.#everywhere<[string, string]>(["TIME"]);
    return Math.min(...times.map(([seconds, us]) => Number(seconds) * 1e6 + Number(us)));
  }

  async getMany(keys: string[]): Promise<(Value | null)[]> {
    if (keys.length === 0) return [];
    return this.#transport.primaries === undefined
      ? this.#read("MGET", this.#prefixed(keys), this.#binary)
      : this.#each(keys, (key) => this.get(key).catch(nullIfOtherType));
  }

  async measure(keys: string[]): Promise<(Size | null)[]> {
    if (keys.length === 0) return [];
    try {
      const told =
        this.#transport.primaries === undefined
          ? await this.#run<number[]>(MEASURE, this.#prefixed(keys), [], false)
          : (
              await this.#each(keys, (key) =>
                this.#run<number[]>(MEASURE, [this.#prefix + key], [], false),
              )
            ).flat();
      return keys.map((_, n) => sizeOf(told[2 * n] as number, told[2 * n + 1] as number));
    } catch (error) {
      // A server without scripts, or a user without the right to them.
      const { code } = error as StoreError;
      if (code !== "ERR_NO_PERMISSION" && code !== "ERR_REDIS") throw error;
    }
    const left = await this.#each(keys, (key) => this.#read<number>("PTTL", [this.#prefix + key]));
    return left.map((ms) => sizeOf(-1, ms));
  }

  async removeMany(keys: string[]): Promise<number> {
    return keys.length === 0 ? 0 : this.#writing(keys, this.#removeMany(keys));
  }

  async #removeMany(keys: string[]): Promise<number> {
    if (this.#transport.primaries === undefined) {
      return this.#send(["UNLINK", ...this.#prefixed(keys)]);
    }
    const removed = await this.#each(keys, (key) =>
      this.#send<number>(["UNLINK", this.#prefix + key]),
    );
    return removed.reduce((sum, count) => sum + count, 0);
  }

  /** Has the caches of this process forget the keys, while they are written and before. */
  #writing<Answer>(keys: string[], answer: Promise<Answer>): Promise<Answer> {
    const { keyPrefix } = this.#transport;
    return writing(keyPrefix === "" ? keys : keys.map((key) => keyPrefix + key), answer);
  }

  #prefixed(keys: string[]): string[] {
    return this.#prefix === "" ? keys : keys.map((key) => this.#prefix + key);
  }

  /** Does the same with many keys, pipelined and not too many at a time. */
  async #each<T>(keys: string[], work: (key: string) => Promise<T>): Promise<T[]> {
    const { inFlight } = this.#transport;
    const results: T[] = [];
    for (let start = 0; start < keys.length; start += inFlight) {
      const settled = await Promise.allSettled(keys.slice(start, start + inFlight).map(work));
      for (const one of settled) {
        if (one.status === "rejected") throw one.reason;
        results.push(one.value);
      }
    }
    return results;
  }

  /** A command that changes nothing. Where the client would send it to a replica, a script does not. */
  #read<Reply>(name: string, keys: string[], binary = false): Promise<Reply> {
    return this.#transport.readsReplicas
      ? this.#run<Reply>(READ_ON_PRIMARY, keys, [name], binary)
      : this.#send<Reply>([name, ...keys], binary);
  }

  async #run<Reply>(
    script: Script,
    keys: string[],
    args: Value[],
    binary: boolean,
    onAgain?: () => void,
  ): Promise<Reply> {
    const rest = [String(keys.length), ...keys, ...args];
    const [key = ""] = keys;
    try {
      return await this.#send(["EVALSHA", script.sha, ...rest], binary, key);
    } catch (error) {
      // Only this reply proves that the script did not run.
      if (!isNoScript(error)) throw error;
      onAgain?.();
      return this.#send(["EVAL", script.source, ...rest], binary, key);
    }
  }

  async #layout(primary: Primary): Promise<Layout | undefined> {
    if (primary === ONLY) return undefined;
    try {
      return layoutOf(
        String(await this.#bound(primary.send(["CLUSTER", "NODES"]), "CLUSTER NODES")),
      );
    } catch (error) {
      // A user who may not ask can list all the same, if no slot moves.
      if ((error as StoreError).code === "ERR_NO_PERMISSION") return undefined;
      throw error;
    }
  }

  async #page(primary: Primary, command: string[]): Promise<Page> {
    const page = await this.#on<Page>(primary, command);
    return [String(page[0]), page[1]];
  }

  /** Names the run of a server: no other one, and no later one, understands its cursors. */
  async #runOf(primary: Primary): Promise<string> {
    try {
      const info = String(await this.#on(primary, ["INFO", "server"]));
      return nameOf(/^run_id:(\w+)/m.exec(info)?.[1] ?? "");
    } catch (error) {
      // A user who may not ask can list all the same, if the server stays.
      if ((error as StoreError).code === "ERR_NO_PERMISSION") return "";
      throw error;
    }
  }

  /** The servers that hold keys. */
  async #primaries(): Promise<Primary[]> {
    const { primaries } = this.#transport;
    return primaries === undefined ? [ONLY] : this.#bound(primaries());
  }

  /** What every server that holds keys answers to a command that names none. */
  async #everywhere<Reply>(command: string[]): Promise<Reply[]> {
    const primaries = await this.#primaries();
    return Promise.all(primaries.map((primary) => this.#on<Reply>(primary, command)));
  }

  /** Sends a command that names no key to a server. */
  #on<Reply>(primary: Primary, command: string[]): Promise<Reply> {
    if (primary !== ONLY) {
      return this.#bound(primary.send(command) as Promise<Reply>, command[0]);
    }
    return this.#transport.readsReplicas
      ? this.#run(READ_ON_PRIMARY, [], command, false)
      : this.#send(command, false, "");
  }

  #send<Reply>(
    command: Command,
    binary = false,
    key: string = command[1] as string,
  ): Promise<Reply> {
    if (this.#health.isDown) {
      return Promise.reject(noteUnsent(this.#health.error(command[0] as string)));
    }
    return this.#transport.primaries === undefined
      ? this.#ask(command, key, binary)
      : this.#insist(command, key, binary);
  }

  /**
   * Clients give up after some redirections; while a slot moves, that can be too early. What is sent
   * again goes one by one: valkey-glide, asked for many keys of such a slot at a time, sends most of
   * them without the ASKING that they need.
   */
  async #insist<Reply>(command: Command, key: string, binary: boolean): Promise<Reply> {
    const until = performance.now() + this.#timeout;
    const ask = () => this.#ask<Reply>(command, key, binary);
    let redirect: unknown;
    const again = () => (performance.now() < until ? ask() : Promise.reject(redirect));
    for (let attempt = 1; ; attempt++) {
      try {
        return await (attempt === 1 ? ask() : this.#oneByOne(again));
      } catch (error) {
        redirect = error;
        const isOver = performance.now() >= until || attempt >= MOST_ATTEMPTS;
        if (!isRedirect(error) || isOver) throw error;
        await delay(PAUSE);
      }
    }
  }

  #oneByOne<Reply>(ask: () => Promise<Reply>): Promise<Reply> {
    const answer = this.#redirected.then(ask);
    this.#redirected = answer.catch(() => {});
    return answer;
  }

  #ask<Reply>(command: Command, key: string, binary: boolean): Promise<Reply> {
    const transport = this.#transport;
    const name = command[0] as string;
    if (transport.isReady() && !this.#health.isSilent) {
      const answer = transport.send(command, key, binary, undefined) as Promise<Reply>;
      return this.#deadline.bound(answer, name, () => ({
        replacement: transport.replace?.(command),
      }));
    }
    transport.complaints?.watch();
    const wait = new Wait();
    const answer = transport.send(command, key, binary, wait) as Promise<Reply>;
    return this.#deadline.bound(answer, name, (timedOut) => {
      const error = this.#trouble() === undefined ? timedOut : this.#unavailable(timedOut.message);
      if (!wait.end()) return { error, isUnsent: true };
      return { error, replacement: transport.replace?.(command) };
    });
  }

  /** What is wrong with the client, where it has no connection. */
  #trouble(): string | undefined {
    return this.#transport.isReady() ? undefined : this.#transport.trouble();
  }

  #unavailable(what: string): StoreError {
    const trouble = this.#trouble();
    if (trouble === undefined) return new StoreError("ERR_UNAVAILABLE", what);
    return withoutConnection(`${what}: ${trouble}`, this.#transport.complaints?.last);
  }

  #bound<Reply>(answer: Promise<Reply>, name = "the question for the primaries"): Promise<Reply> {
    return this.#deadline.bound(answer, name);
  }
}

/** The one server of every topology but a cluster; it is reached like any key. */
const ONLY: Primary = {
  address: "",
  send: () => Promise.reject(new Error("unreachable")),
};

/** What MEASURE answers for one key. */
function sizeOf(bytes: number, ms: number): Size | null {
  if (ms === -2) return null;
  return { bytes: bytes < 0 ? undefined : bytes, left: ms < 0 ? Number.POSITIVE_INFINITY : ms };
}

/** What MGET answers for a key that holds no string. */
function nullIfOtherType(error: unknown): null {
  if ((error as Partial<StoreError>).code === "ERR_CORRUPT_SESSION") return null;
  throw error;
}
