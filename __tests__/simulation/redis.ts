// A Redis in memory: the commands that the store sends, in virtual time, one at a time.
import { createHash } from "node:crypto";
import { type Compiled, compile, formatted, type Lua, LuaError, LuaTable } from "./lua.js";

/** Bytes as a string of one character each; every text in here is one. */
export type Bytes = string;

/** A key's value. It is never changed in place, so that what was there can be put back. */
type Content =
  | { readonly type: "string"; readonly text: Bytes }
  | { readonly type: "zset"; readonly scores: ReadonlyMap<Bytes, number> }
  | { readonly type: "hash"; readonly fields: ReadonlyMap<Bytes, Bytes> }
  | { readonly type: "list"; readonly items: readonly Bytes[] };

/** A key with its end, in ms of the server's clock; `undefined`: none. */
export type Stored = Content & { readonly ends: number | undefined };

/** An error reply. */
export class Refusal extends Error {}

/** A status reply such as OK. */
export class Status {
  constructor(readonly text: string) {}
}

/** What the server answers: bulk strings are bytes. */
export type Reply = null | number | Bytes | Status | Refusal | Reply[];

/** One key that a command, or time, has changed. */
export interface Change {
  readonly key: Bytes;
  readonly before: Stored | undefined;
  readonly after: Stored | undefined;
  /** What the server tells of it to who has subscribed to that. */
  readonly events: readonly string[];
}

/** What makes a server one of a kind. */
export interface ServerOptions {
  /** The server's clock, in ms since the epoch. */
  readonly now: () => number;
  /** Whether it knows `SET … IFEQ`. */
  readonly native: boolean;
  /** How many keys or entries one step of a scan gives. A real server is as free to give fewer than COUNT. */
  readonly page: number;
  /** Told of every change, before the reply goes out; `undefined` as the cause: time. */
  readonly onChange: (change: Change, cause: Cause | undefined) => void;
  /** Told of what is read by GET over a connection, which the server may have to remember. */
  readonly onRead?: (key: Bytes, cause: Cause) => void;
}

/** Over which connection a command came. */
export interface Cause {
  readonly connection: object | undefined;
  readonly command: readonly Bytes[];
}

const OK = new Status("OK");
const WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value";
const ASCII = /^\p{ASCII}*$/u;

/** A text or bytes as the server keeps them. */
export function bytesOf(value: string | Uint8Array): Bytes {
  if (typeof value !== "string") return Buffer.from(value).toString("latin1");
  return ASCII.test(value) ? value : Buffer.from(value).toString("latin1");
}

/** Bytes as text. */
export function textOf(bytes: Bytes): string {
  return ASCII.test(bytes) ? bytes : Buffer.from(bytes, "latin1").toString();
}

const compiled = new Map<string, Compiled>();

/** Scripts are few and runs are many. */
function compiledOf(source: string): Compiled {
  let script = compiled.get(source);
  if (script === undefined) {
    script = compile(textOf(source));
    compiled.set(source, script);
  }
  return script;
}

const shas = new Map<string, string>();

function shaOf(source: Bytes): string {
  let sha = shas.get(source);
  if (sha === undefined) {
    sha = digestOf(source);
    shas.set(source, sha);
  }
  return sha;
}

/** A Redis in memory. */
export class SimulatedRedis {
  readonly #options: ServerOptions;
  #micros = 0;
  readonly #keys = new Map<Bytes, Stored>();
  readonly #scripts = new Map<string, string>();
  /** `notify-keyspace-events`. */
  #notified = "";
  /** What each writing command changed, the latest last: a failover takes some of them back. */
  #journal: Change[][] = [];
  #changes: Change[] | undefined;
  #cause: Cause | undefined;
  /** No key ends before. */
  #earliest = Number.POSITIVE_INFINITY;
  #isScript = false;

  constructor(options: ServerOptions) {
    this.#options = options;
  }

  /** Executes one command. */
  execute(words: readonly (string | Uint8Array)[], connection?: object): Reply {
    const command = words.map(bytesOf);
    this.#expire();
    this.#changes = [];
    this.#cause = { connection, command };
    try {
      return this.#run(command);
    } catch (error) {
      if (error instanceof Refusal) return error;
      if (error instanceof LuaError) {
        const isReply = /^[A-Z]+ /.test(error.message);
        return new Refusal(isReply ? error.message : `ERR Error running script: ${error.message}`);
      }
      throw error;
    } finally {
      if (this.#changes.length > 0) {
        this.#journal.push(this.#changes);
        if (this.#journal.length > 50) this.#journal.shift();
      }
      this.#cause = undefined;
      this.#changes = undefined;
    }
  }

  /** The keys as they are now. */
  keys(): ReadonlyMap<Bytes, Stored> {
    this.#expire();
    return this.#keys;
  }

  /** Takes a key away, as eviction does. */
  evict(key: Bytes): void {
    this.#put(key, undefined, "evicted");
  }

  /** A replica takes over that lacks the last `count` writing commands; it knows no scripts. */
  failOver(count: number): void {
    for (const changes of this.#journal.splice(-count).reverse()) {
      for (const { key, before } of changes.reverse()) this.#put(key, before);
    }
    this.#journal = [];
    this.#scripts.clear();
    this.#notified = "";
    this.#expire();
  }

  /** Removes what has ended. */
  #expire(): void {
    const now = this.#options.now();
    if (now < this.#earliest) return;
    this.#earliest = Number.POSITIVE_INFINITY;
    for (const [key, { ends }] of this.#keys) {
      if (ends === undefined) continue;
      if (ends <= now) this.#put(key, undefined, "expired");
      else this.#earliest = Math.min(this.#earliest, ends);
    }
  }

  #put(key: Bytes, after: Stored | undefined, ...events: string[]): void {
    const before = this.#keys.get(key);
    if (after === undefined && before === undefined) return;
    if (after === undefined) this.#keys.delete(key);
    else {
      this.#keys.set(key, after);
      if (after.ends !== undefined) this.#earliest = Math.min(this.#earliest, after.ends);
    }
    const change = { key, before, after, events: this.#notified === "" ? [] : events };
    this.#changes?.push(change);
    this.#options.onChange(change, this.#cause);
  }

  #run(command: Bytes[]): Reply {
    const [name = "", ...args] = command;
    const handler = this.#commands[name.toUpperCase()];
    if (handler === undefined) {
      const shown = args.map((arg) => `'${arg}'`).join(" ");
      throw new Refusal(`ERR unknown command '${name}', with args beginning with: ${shown} `);
    }
    return handler(args);
  }

  #text(key: Bytes): Bytes | undefined {
    const stored = this.#keys.get(key);
    if (stored !== undefined && stored.type !== "string") throw new Refusal(WRONG_TYPE);
    return stored?.text;
  }

  #scores(key: Bytes): ReadonlyMap<Bytes, number> {
    const stored = this.#keys.get(key);
    if (stored !== undefined && stored.type !== "zset") throw new Refusal(WRONG_TYPE);
    return stored?.scores ?? new Map();
  }

  #fields(key: Bytes): ReadonlyMap<Bytes, Bytes> {
    const stored = this.#keys.get(key);
    if (stored !== undefined && stored.type !== "hash") throw new Refusal(WRONG_TYPE);
    return stored?.fields ?? new Map();
  }

  /** The members of a sorted set, the lowest score first. */
  #ranked(key: Bytes): [Bytes, number][] {
    return [...this.#scores(key)].sort(
      ([a, x], [b, y]) => (x === y ? (a < b ? -1 : 1) : x - y), // inf - inf is NaN, and equal
    );
  }

  #setScores(key: Bytes, scores: Map<Bytes, number>): void {
    const ends = this.#keys.get(key)?.ends;
    this.#put(key, scores.size === 0 ? undefined : { type: "zset", scores, ends });
  }

  #setFields(key: Bytes, fields: Map<Bytes, Bytes>): void {
    const ends = this.#keys.get(key)?.ends;
    this.#put(key, fields.size === 0 ? undefined : { type: "hash", fields, ends });
  }

  #endAt(key: Bytes, ends: number | undefined): number {
    const stored = this.#keys.get(key);
    if (stored === undefined) return 0;
    if (ends !== undefined && ends <= this.#options.now()) this.#put(key, undefined, "del");
    else this.#put(key, { ...stored, ends }, ends === undefined ? "persist" : "expire");
    return 1;
  }

  #remove(keys: Bytes[], ...events: string[]): number {
    let removed = 0;
    for (const key of keys) {
      if (!this.#keys.has(key)) continue;
      this.#put(key, undefined, ...events);
      removed++;
    }
    return removed;
  }

  #set([key = "", text = "", ...options]: Bytes[]): Reply {
    let ends: number | undefined;
    let keep = false;
    let answer = false;
    let condition: ((held: Bytes | undefined) => boolean) | undefined;
    for (let at = 0; at < options.length; at++) {
      const option = (options[at] as Bytes).toUpperCase();
      const given = options[at + 1] as Bytes;
      if (option === "PX" || option === "EX") {
        const life = whole(given) * (option === "EX" ? 1000 : 1);
        if (life <= 0) throw new Refusal("ERR invalid expire time in 'set' command");
        ends = this.#options.now() + life;
        at++;
      } else if (option === "KEEPTTL") keep = true;
      else if (option === "GET") answer = true;
      else if (option === "XX") condition = (held) => held !== undefined;
      else if (option === "NX") condition = (held) => held === undefined;
      else if (option === "IFEQ" && this.#options.native) {
        condition = (held) => held === given;
        at++;
      } else throw new Refusal("ERR syntax error");
    }
    const stored = this.#keys.get(key);
    const asksForText = answer || options.some((option) => option.toUpperCase() === "IFEQ");
    const held = asksForText ? this.#text(key) : stored === undefined ? undefined : "";
    const isWritten = condition === undefined || condition(held);
    if (isWritten) {
      const events = stored === undefined ? ["new", "set"] : ["set"];
      if (ends !== undefined) events.push("expire");
      this.#put(key, { type: "string", text, ends: keep ? stored?.ends : ends }, ...events);
    }
    if (answer) return held ?? null;
    return isWritten ? OK : null;
  }

  #scan([cursor = "0", ...options]: Bytes[]): Reply {
    let pattern = /^/;
    let type: Bytes | undefined;
    let count = 10;
    for (let at = 0; at < options.length; at += 2) {
      const option = (options[at] as Bytes).toUpperCase();
      if (option === "MATCH") pattern = globOf(options[at + 1] as Bytes);
      else if (option === "TYPE") type = options[at + 1] as Bytes;
      else if (option === "COUNT") count = whole(options[at + 1]);
      else throw new Refusal("ERR syntax error");
    }
    const [next, page] = this.#page([...this.#keys.keys()], cursor, count);
    const found = page.filter(
      (key) => pattern.test(key) && (type === undefined || this.#keys.get(key)?.type === type),
    );
    return [next, found];
  }

  /**
   * Goes through names in the order of their hashes, from the one that the cursor says: what is there
   * all the while comes at least once, whatever comes and goes meanwhile.
   */
  #page(names: Bytes[], cursor: Bytes, count = this.#options.page): [next: Bytes, page: Bytes[]] {
    const from = whole(cursor);
    const ordered = names.map((name) => [hashOf(name), name] as const);
    ordered.sort(([a, x], [b, y]) => a - b || (x < y ? -1 : 1));
    const rest = ordered.filter(([hash]) => hash >= from);
    // Those of one hash come together.
    let end = Math.min(this.#options.page, count, rest.length);
    while (end < rest.length && rest[end]?.[0] === rest[end - 1]?.[0]) end++;
    const last = rest[end - 1];
    const next = end === rest.length || last === undefined ? "0" : String(last[0] + 1);
    return [next, rest.slice(0, end).map(([, name]) => name)];
  }

  #eval(source: Bytes, [count = "0", ...rest]: Bytes[]): Reply {
    this.#scripts.set(shaOf(source), source);
    const keys = rest.slice(0, whole(count));
    const args = rest.slice(keys.length);
    const isInner = this.#isScript;
    this.#isScript = true;
    try {
      const call = (command: Bytes[]): Lua => {
        let reply: Reply;
        try {
          reply = this.#run(command);
        } catch (error) {
          if (error instanceof Refusal) throw new LuaError(error.message);
          throw error;
        }
        return luaOf(reply);
      };
      return replyOf(compiledOf(source)({ call }, keys, args));
    } finally {
      this.#isScript = isInner;
    }
  }

  readonly #commands: Record<string, (args: Bytes[]) => Reply> = {
    INFO: () => `# Server\r\nrun_id:${"5".repeat(40)}\r\n`,
    PING: () => new Status("PONG"),
    GET: ([key = ""]) => {
      const text = this.#text(key) ?? null;
      if (!this.#isScript) this.#options.onRead?.(key, this.#cause as Cause);
      return text;
    },
    MGET: (keys) =>
      keys.map((key) => {
        const stored = this.#keys.get(key);
        return stored?.type === "string" ? stored.text : null;
      }),
    STRLEN: ([key = ""]) => this.#text(key)?.length ?? 0,
    SET: (args) => this.#set(args),
    DEL: (keys) => this.#remove(keys, "del"),
    UNLINK: (keys) => this.#remove(keys, "del"),
    EXISTS: (keys) => keys.filter((key) => this.#keys.has(key)).length,
    TYPE: ([key = ""]) => new Status(this.#keys.get(key)?.type ?? "none"),
    PTTL: ([key = ""]) => {
      const stored = this.#keys.get(key);
      if (stored === undefined) return -2;
      return stored.ends === undefined ? -1 : stored.ends - this.#options.now();
    },
    PEXPIRETIME: ([key = ""]) => {
      const stored = this.#keys.get(key);
      return stored === undefined ? -2 : (stored.ends ?? -1);
    },
    PEXPIRE: ([key = "", px = "", ...options]) => {
      if (options.length > 0) return this.#expireIf(key, whole(px) + this.#options.now(), options);
      return this.#endAt(key, this.#options.now() + whole(px));
    },
    PEXPIREAT: ([key = "", at = "", ...options]) => {
      if (options.length > 0) return this.#expireIf(key, whole(at), options);
      return this.#endAt(key, whole(at));
    },
    EXPIRE: ([key = "", seconds = ""]) =>
      this.#endAt(key, this.#options.now() + whole(seconds) * 1000),
    PERSIST: ([key = ""]) =>
      this.#keys.get(key)?.ends === undefined ? 0 : this.#endAt(key, undefined),
    SCAN: (args) => this.#scan(args),
    TIME: () => {
      // No two commands are executed in the same microsecond.
      this.#micros = Math.max(this.#options.now() * 1000, this.#micros + 1);
      return [String(Math.floor(this.#micros / 1e6)), String(this.#micros % 1e6)];
    },
    ZADD: ([key = "", ...args]) => {
      const options = new Set<Bytes>();
      while (/^(GT|LT|NX|XX|CH)$/i.test(args[0] ?? "")) {
        options.add((args.shift() as Bytes).toUpperCase());
      }
      const before = this.#scores(key);
      const scores = new Map(before);
      let changed = 0;
      for (let at = 0; at < args.length; at += 2) {
        const value = score(args[at] as Bytes);
        const member = args[at + 1] as Bytes;
        const old = before.get(member);
        if (options.has(old === undefined ? "XX" : "NX")) continue;
        if (old !== undefined && options.has("GT") && value <= old) continue;
        if (old !== undefined && options.has("LT") && value >= old) continue;
        scores.set(member, value);
        if (old !== undefined && old !== value) changed++;
      }
      if (scores.size > before.size || changed > 0) this.#setScores(key, scores);
      return scores.size - before.size + (options.has("CH") ? changed : 0);
    },
    ZREM: ([key = "", ...members]) => {
      const scores = new Map(this.#scores(key));
      const removed = members.filter((member) => scores.delete(member)).length;
      if (removed > 0) this.#setScores(key, scores);
      return removed;
    },
    ZSCORE: ([key = "", member = ""]) => {
      const found = this.#scores(key).get(member);
      return found === undefined ? null : formatted(found, 17);
    },
    ZCARD: ([key = ""]) => this.#scores(key).size,
    ZCOUNT: ([key = "", from = "", to = ""]) => {
      const isWithin = range(from, to);
      return [...this.#scores(key).values()].filter(isWithin).length;
    },
    ZRANGE: ([key = "", from = "", to = "", ...options]) => {
      const ranked = this.#ranked(key);
      const place = (at: number) => (at < 0 ? at + ranked.length : at);
      const part = ranked.slice(Math.max(0, place(whole(from))), place(whole(to)) + 1);
      return withScores(part, options.length > 0);
    },
    ZRANGEBYSCORE: ([key = "", from = "", to = "", ...options]) => {
      const isWithin = range(from, to);
      let part = this.#ranked(key).filter(([, value]) => isWithin(value));
      const limit = options.findIndex((option) => option.toUpperCase() === "LIMIT");
      if (limit >= 0) {
        const [offset, count] = [whole(options[limit + 1]), whole(options[limit + 2])];
        part = part.slice(offset, count < 0 ? undefined : offset + count);
      }
      return withScores(
        part,
        options.some((option) => option.toUpperCase() === "WITHSCORES"),
      );
    },
    ZSCAN: ([key = "", cursor = "0"]) => {
      const scores = this.#scores(key);
      const [next, page] = this.#page([...scores.keys()], cursor);
      return [next, page.flatMap((name) => [name, formatted(scores.get(name) as number, 17)])];
    },
    HSET: ([key = "", ...pairs]) => {
      const fields = new Map(this.#fields(key));
      const before = fields.size;
      for (let at = 0; at < pairs.length; at += 2) {
        fields.set(pairs[at] as Bytes, pairs[at + 1] as Bytes);
      }
      this.#setFields(key, fields);
      return fields.size - before;
    },
    HSETNX: ([key = "", field = "", value = ""]) => {
      const fields = new Map(this.#fields(key));
      if (fields.has(field)) return 0;
      this.#setFields(key, fields.set(field, value));
      return 1;
    },
    HGET: ([key = "", field = ""]) => this.#fields(key).get(field) ?? null,
    HMGET: ([key = "", ...names]) => names.map((name) => this.#fields(key).get(name) ?? null),
    HGETALL: ([key = ""]) => [...this.#fields(key)].flat(),
    RPUSH: ([key = "", ...items]) => {
      const stored = this.#keys.get(key);
      if (stored !== undefined && stored.type !== "list") throw new Refusal(WRONG_TYPE);
      const all = [...(stored?.items ?? []), ...items];
      this.#put(key, { type: "list", items: all, ends: stored?.ends });
      return all.length;
    },
    EVAL: ([source = "", ...rest]) => this.#eval(source, rest),
    EVALSHA: ([sha = "", ...rest]) => {
      const source = this.#scripts.get(sha.toLowerCase());
      if (source === undefined) {
        throw new Refusal("NOSCRIPT No matching script. Please use EVAL.");
      }
      return this.#eval(source, rest);
    },
    SCRIPT: ([what = "", source = ""]) => {
      if (what.toUpperCase() === "FLUSH") {
        this.#scripts.clear();
        return OK;
      }
      if (what.toUpperCase() !== "LOAD") throw new Refusal(`ERR unknown subcommand '${what}'`);
      this.#scripts.set(shaOf(source), source);
      return shaOf(source);
    },
    FLUSHALL: () => {
      this.#remove([...this.#keys.keys()]);
      return OK;
    },
    CONFIG: ([what = "", name = "", value = ""]) => {
      if (name !== "notify-keyspace-events") throw new Refusal("ERR unknown setting");
      if (what.toUpperCase() === "GET") return [name, this.#notified];
      this.#notified = value;
      return OK;
    },
    CLIENT: ([what = ""]) => {
      if (what.toUpperCase() === "GETREDIR") return 0;
      if (what.toUpperCase() === "INFO") return "id=1 addr=127.0.0.1:1 db=0 resp=3";
      throw new Refusal(`ERR unknown subcommand '${what}'`);
    },
  };

  #expireIf(key: Bytes, ends: number, options: Bytes[]): number {
    const held = this.#keys.get(key);
    if (held === undefined) return 0;
    const now = held.ends ?? Number.POSITIVE_INFINITY;
    for (const option of options.map((each) => each.toUpperCase())) {
      if (option === "GT" && ends <= now) return 0;
      if (option === "LT" && ends >= now) return 0;
      if (option === "NX" && held.ends !== undefined) return 0;
      if (option === "XX" && held.ends === undefined) return 0;
    }
    return this.#endAt(key, ends);
  }
}

function whole(text: Bytes | undefined): number {
  if (text !== undefined && /^[+-]?\d+$/.test(text)) return Number(text);
  throw new Refusal("ERR value is not an integer or out of range");
}

function score(text: Bytes): number {
  const special = /^([+-]?)inf$/i.exec(text);
  if (special) return special[1] === "-" ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  const number = Number(text);
  if (text.trim() === "" || Number.isNaN(number))
    throw new Refusal("ERR value is not a valid float");
  return number;
}

/** `(5` is what lies beyond 5, and nothing counts as 0. */
function range(from: Bytes, to: Bytes): (value: number) => boolean {
  const bound = (text: Bytes) => {
    const isOpen = text.startsWith("(");
    const rest = isOpen ? text.slice(1) : text;
    return [rest === "" ? 0 : score(rest), isOpen] as const;
  };
  const [least, isBeyond] = bound(from);
  const [most, isBelow] = bound(to);
  return (value) =>
    (isBeyond ? value > least : value >= least) && (isBelow ? value < most : value <= most);
}

function withScores(part: [Bytes, number][], isWanted: boolean): Reply {
  return isWanted
    ? part.flatMap(([member, value]) => [member, formatted(value, 17)])
    : part.map(([member]) => member);
}

/** The digest by which a script is called, and by which scripts know what a key held. */
export function digestOf(text: Bytes): string {
  return createHash("sha1").update(text, "latin1").digest("hex");
}

/** FNV-1a; `from` is the hash of what comes before the text. */
export function hashOf(text: string, from = 0x811c9dc5): number {
  let hash = from;
  for (let at = 0; at < text.length; at++) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  return hash >>> 0;
}

/** A pattern of Redis. */
function globOf(glob: Bytes): RegExp {
  let source = "";
  for (let at = 0; at < glob.length; at++) {
    const char = glob[at] as string;
    if (char === "*") source += "[^]*";
    else if (char === "?") source += "[^]";
    else if (char === "\\" && at + 1 < glob.length) source += literal(glob[++at] as string);
    else if (char === "[" && glob.indexOf("]", at + 1) > 0) {
      const end = glob.indexOf("]", at + 1);
      source += `[${glob.slice(at + 1, end).replace(/[\\\]]/g, "\\$&")}]`;
      at = end;
    } else source += literal(char);
  }
  return new RegExp(`^${source}$`);
}

function literal(char: string): string {
  return char.replace(/[\\^$.*+?()[\]{}|/-]/, "\\$&");
}

/** A reply as a script sees it. */
function luaOf(reply: Reply): Lua {
  if (reply === null) return false;
  if (Array.isArray(reply)) return LuaTable.of(reply.map(luaOf));
  if (reply instanceof Refusal) throw new LuaError(reply.message);
  if (!(reply instanceof Status)) return reply;
  const status = new LuaTable();
  status.set("ok", reply.text);
  return status;
}

/** What a script returns as a reply. */
function replyOf(value: Lua): Reply {
  if (value === undefined || value === false) return null;
  if (value === true) return 1;
  if (typeof value === "number") return Math.trunc(value);
  if (typeof value === "string") return value;
  if (!(value instanceof LuaTable)) return null;
  const [status, error] = [value.get("ok"), value.get("err")];
  if (typeof error === "string") throw new Refusal(error);
  return typeof status === "string" ? new Status(status) : value.list().map(replyOf);
}
