import { randomBytes } from "node:crypto";
import { performance } from "node:perf_hooks";
import type { SessionData } from "express-session";
import { RedisStore, type RedisStoreOptions, type Serializer } from "../../lib/index.js";
import { type During, type Happened, type Places, placesOf, show, World } from "./model.js";
import type { Edit, Operation, Plan, Step } from "./model-steps.js";
import { plainOf, type TestClient } from "./store.js";

/** Idle timeout of a session whose cookie has no age, in seconds. */
const TTL = 3600;

type Data = Record<string, unknown>;
type Live = SessionData & { touch?: () => unknown };

/** A session object in the hands of a request. */
interface InHand {
  readonly sid: string;
  readonly store: number;
  readonly session: Live;
  readonly inflated: boolean;
  /** What express-session compares at the end of a response. */
  hash: string;
  /** What the cookie of a plain object said of its end before a request took that away. */
  end?: Pick<SessionData["cookie"], "originalMaxAge" | "expires">;
}

/** What a run does with: the clients of the stores, one more to look at Redis with, options under test. */
export interface Bench {
  readonly clients: readonly TestClient[];
  readonly observer: TestClient;
  readonly prefix: string;
  readonly options: Omit<Partial<RedisStoreOptions>, "client">;
  readonly parse: (stored: Buffer) => Promise<object> | object;
}

/** How a serializer reads what `stored` bytes are. */
export function parserOf(serializer: Serializer): (stored: Buffer) => Promise<object> | object {
  return (stored) =>
    (serializer.binary
      ? serializer.parse(stored)
      : serializer.parse(stored.toString())) as Promise<object>;
}

const BYTES = { typeMapping: { 36: Buffer } };

/** Value and ms to live of each key. */
const OBSERVE = `
local seen = {}
for i, key in ipairs(KEYS) do
  seen[2 * i - 1] = redis.call('GET', key)
  seen[2 * i] = redis.call('PTTL', key)
end
return seen`;

/** Lets time pass: what would end within ARGV[1] ms, or so soon after it that it is a race, ends. */
const PASS = `
for _, key in ipairs(KEYS) do
  local left = redis.call('PTTL', key)
  if left >= 0 and left <= ARGV[1] + 500 then redis.call('DEL', key)
  elseif left >= 0 then redis.call('PEXPIRE', key, left - ARGV[1]) end
end`;

/** How far the clock of this process is ahead of the machine's. */
let ahead = 0;
const machine = Date.now.bind(Date);
const monotonic = performance.now.bind(performance);

/** Makes the clocks of this process ones that a run can advance; call what it returns in the end. */
export function takeClock(): () => void {
  Date.now = () => machine() + ahead;
  performance.now = () => monotonic() + ahead;
  return () => {
    Date.now = machine;
    performance.now = monotonic;
  };
}

/** The date of a session's cookie, in ms since the epoch. */
function dateOf({ cookie }: SessionData): number | undefined {
  return cookie.expires ? new Date(cookie.expires).getTime() : undefined;
}

function hash(session: object): string {
  return JSON.stringify(session, function (this: unknown, key, value: unknown) {
    return this === session && key === "cookie" ? undefined : value;
  });
}

function define(target: Data, key: string, value: unknown): void {
  Object.defineProperty(target, key, {
    value,
    writable: true,
    enumerable: true,
    configurable: true,
  });
}

/** Runs one plan on the stores under test and compares each answer and each stored session with the model. */
export class Run {
  readonly #bench: Bench;
  readonly #stores: RedisStore[];
  readonly #sids: string[] = [];
  readonly #inHand: InHand[] = [];
  readonly #told = { merged: 0, discarded: 0 };
  readonly #answered = { MERGED: 0, GONE: 0 };
  readonly log: string[] = [];
  #worlds: World[];

  constructor(bench: Bench, { stores, touchAfter }: Plan) {
    this.#bench = bench;
    this.#stores = bench.clients.slice(0, stores).map((client) => {
      const store = new RedisStore({
        ...bench.options,
        client,
        prefix: bench.prefix,
        ttl: TTL,
        touchAfter,
      });
      store.on("merged", () => this.#told.merged++);
      store.on("discarded", () => this.#told.discarded++);
      return store;
    });
    this.#worlds = [new World({ ttl: TTL * 1000, touchAfter: touchAfter * 1000 })];
  }

  async all(steps: readonly Step[]): Promise<void> {
    for (const step of steps) {
      await this.#step(step);
    }
    for (const store of this.#stores) store.close();
    await new Promise((resolve) => setImmediate(resolve));
    // A touch that stores a cookie tells what became of it by events only.
    const { merged, discarded } = this.#told;
    if (merged < this.#answered.MERGED || discarded < this.#answered.GONE) {
      this.#fail(
        `events ${JSON.stringify(this.#told)} for answers ${JSON.stringify(this.#answered)}`,
      );
    }
    await this.#bench.observer.sendCommand(["DEL", ...this.#keys()]);
  }

  async #step(step: Step): Promise<void> {
    switch (step.step) {
      case "begin":
        return this.#begin(step.store, step.edits);
      case "regenerate": {
        const object = this.#pick(this.#inHand, step.object);
        const { sid, store } = this.#inHand[object] as InHand;
        await this.#together([() => this.#destroy(store, sid)]);
        return this.#begin(store, step.edits);
      }
      case "edit": {
        this.#edited(this.#pick(this.#inHand, step.object), step.edits);
        return;
      }
      case "pass": {
        ahead += step.ms;
        this.log.push(`${step.ms} ms pass`);
        const keys = this.#keys();
        await this.#bench.observer.sendCommand([
          "EVAL",
          PASS,
          String(keys.length),
          ...keys,
          String(step.ms),
        ]);
        return this.#observe(this.#worlds);
      }
      case "lose": {
        const sid = this.#sids[this.#pick(this.#sids, step.session)] as string;
        this.log.push(`${sid} is lost`);
        await this.#bench.observer.sendCommand(["DEL", this.#bench.prefix + sid]);
        for (const world of this.#worlds) world.lose(sid);
        return;
      }
      case "together":
        return this.#together(step.operations.map((one) => () => this.#operation(one)));
      case "load":
      case "get":
      case "save":
      case "touch":
      case "finish":
      case "copy":
      case "destroy":
        return this.#together([() => this.#operation(step)]);
    }
  }

  /** A request without a session id makes a new session and saves it. */
  async #begin(store: number, edits: Edit[]): Promise<void> {
    const index = store % this.#stores.length;
    const sid = `${this.#sids.length}-${randomBytes(6).toString("hex")}`;
    this.#sids.push(sid);
    const req = { sessionID: sid, sessionStore: this.#stores[index] };
    const session = this.#stores[index]?.createSession(
      req as unknown as Parameters<RedisStore["createSession"]>[0],
      { cookie: { originalMaxAge: null } },
    ) as Live;
    const object = this.#hold({ sid, store: index, session, inflated: true, hash: "" });
    for (const world of this.#worlds) world.begin(object, sid);
    await this.#together([() => this.#save(object, edits)]);
  }

  #operation(operation: Operation): Promise<Happened> {
    switch (operation.step) {
      case "load":
      case "get":
        return this.#load(operation);
      case "destroy":
        return this.#destroy(
          operation.store % this.#stores.length,
          this.#sids[this.#pick(this.#sids, operation.session)] as string,
        );
      case "copy":
        return this.#copy(this.#pick(this.#inHand, operation.object), operation.edits);
      case "save":
        return this.#save(this.#pick(this.#inHand, operation.object), operation.edits);
      case "touch":
        return this.#touch(this.#pick(this.#inHand, operation.object), operation.edits);
      case "finish":
        return this.#finish(this.#pick(this.#inHand, operation.object), operation.edits);
    }
  }

  /** Operations that are all under way at once: some order of them explains every answer. */
  async #together(operations: (() => Promise<Happened>)[]): Promise<void> {
    const before = Date.now();
    const events = await Promise.all(operations.map((operation) => operation()));
    const during = { before, after: Date.now() };
    for (const event of events) {
      this.log.push(describe(event));
      if (event.answer === "MERGED") this.#answered.MERGED++;
      if (event.answer === "GONE") this.#answered.GONE++;
    }
    const courses = this.#worlds.flatMap((world) => [...explanations(world, events, during)]);
    if (courses.length === 0) this.#fail("no order of these operations explains the answers");
    return this.#observe(courses, events.length > 1);
  }

  /** Keeps the courses of events that explain what Redis holds. */
  async #observe(courses: World[], together = false): Promise<void> {
    const keys = this.#keys();
    const before = Date.now();
    const seen = (await this.#bench.observer.sendCommand(
      ["EVAL", OBSERVE, String(keys.length), ...keys],
      BYTES,
    )) as (Buffer | number | null)[];
    const during = { before, after: Date.now() };
    const held = await Promise.all(
      this.#sids.map(async (_, index) => {
        const value = seen[2 * index] as Buffer | null;
        return value === null
          ? null
          : placesOf(await this.#bench.parse(plainOf(keys[index] as string, value)));
      }),
    );
    const objections: string[] = [];
    const left = courses.filter((world) =>
      this.#sids.every((sid, index) => {
        const left = seen[2 * index + 1] as number;
        const objection = world.objection(sid, held[index] as Places | null, left, during);
        if (objection !== null) objections.push(objection);
        return objection === null;
      }),
    );
    if (left.length === 0) this.#fail(objections.join("\n"));
    const distinct = new Map(left.map((world) => [together ? world.key() : world, world]));
    this.#worlds = [...distinct.values()].slice(0, 32);
  }

  async #load({ step, store, session }: Operation & { step: "load" | "get" }): Promise<Happened> {
    const sid = this.#sids[this.#pick(this.#sids, session)] as string;
    const index = store % this.#stores.length;
    const from = this.#stores[index] as RedisStore;
    const inflated = step === "load";
    const loaded = inflated
      ? await new Promise<Live | undefined>((resolve, reject) => {
          from.load(sid, (error: unknown, found?: Live) => {
            if (error) reject(error);
            else resolve(found);
          });
        })
      : await from.get(sid);
    if (!loaded) return { do: "load", object: -1, sid, inflated, answer: null };
    const object = this.#hold({ sid, store: index, session: loaded, inflated, hash: hash(loaded) });
    this.#assertFresh(loaded);
    return { do: "load", object, sid, inflated, answer: snapshot(loaded) };
  }

  /** A session that is handed out says when it ends. */
  #assertFresh({ cookie }: SessionData): void {
    if (typeof cookie.originalMaxAge !== "number") return;
    const left = new Date(cookie.expires as Date).getTime() - Date.now();
    if (Math.abs(left - cookie.originalMaxAge) > 1000) {
      this.#fail(`loaded with ${left} ms left of ${cookie.originalMaxAge}`);
    }
  }

  async #save(object: number, edits: Edit[]): Promise<Happened> {
    const { sid, store, session } = this.#edited(object, edits);
    const mine = snapshot(session);
    const date = dateOf(session);
    const answer = await (this.#stores[store] as RedisStore).set(sid, session);
    return { do: "save", store, object, mine, date, answer };
  }

  /** `store.set("copy", loaded)`: the object is a new session under that id. */
  #copy(from: number, edits: Edit[]): Promise<Happened> {
    const original = this.#inHand[from] as InHand;
    if (!original.inflated) return this.#save(from, edits);
    const sid = `${this.#sids.length}-${randomBytes(6).toString("hex")}`;
    this.#sids.push(sid);
    const object = this.#hold({ ...original, sid });
    for (const world of this.#worlds) world.begin(object, sid);
    return this.#save(object, edits);
  }

  async #touch(object: number, edits: Edit[]): Promise<Happened> {
    const { sid, store, session } = this.#edited(object, edits);
    const mine = snapshot(session);
    const date = dateOf(session);
    const answer = await (this.#stores[store] as RedisStore).touch(sid, session);
    return { do: "touch", store, object, mine, date, answer };
  }

  /** What express-session does at the end of a response. */
  #finish(object: number, edits: Edit[]): Promise<Happened> {
    const held = this.#edited(object, edits);
    if (held.inflated) held.session.touch?.();
    const now = hash(held.session);
    if (now === held.hash) return this.#touch(object, []);
    held.hash = now;
    return this.#save(object, []);
  }

  async #destroy(store: number, sid: string): Promise<Happened> {
    const answer = await (this.#stores[store] as RedisStore).destroy(sid);
    return { do: "destroy", store, sid, answer };
  }

  #edited(object: number, edits: Edit[]): InHand {
    const held = this.#inHand[object] as InHand;
    for (const edit of edits) this.#edit(held, edit);
    return held;
  }

  #edit(held: InHand, edit: Edit): void {
    const { session } = held;
    if (edit.edit === "maxAge") {
      const { cookie } = session;
      if (typeof (cookie as { serialize?: unknown }).serialize === "function") {
        // The setter of express-session's Cookie takes null for "until the browser closes".
        (cookie as { maxAge: number | null }).maxAge = edit.ms;
        return;
      }
      // Nobody renews the date of a plain object: it must not pass within a run.
      const ms = edit.ms === null ? null : 30 * 24 * 3600_000;
      if (cookie.originalMaxAge === ms) return;
      const { originalMaxAge, expires } = cookie;
      cookie.originalMaxAge = ms;
      if (ms === null) {
        held.end = { originalMaxAge, expires };
        cookie.expires = null;
        return;
      }
      // Who takes the age away and gives it back has changed nothing: the date is the one that it was.
      const isBack = held.end?.originalMaxAge === ms;
      cookie.expires = (isBack && held.end?.expires) || new Date(Date.now() + ms);
      return;
    }
    const inflated = typeof session.touch === "function";
    const path = [...edit.path];
    // A Session's own members are no place for data; the browser's request never sees such keys.
    if (inflated && path[0] !== undefined && path[0] in Object.prototype) path[0] = "c";
    if (inflated && (path[0] === "id" || path[0] === "touch")) path[0] = "d";
    const name = path.pop() as string;
    let target = session as unknown as Data;
    for (const key of path) {
      const next = Object.hasOwn(target, key) ? target[key] : undefined;
      if (typeof next !== "object" || next === null || Array.isArray(next)) {
        if (edit.edit === "delete") return;
        define(target, key, {});
      }
      target = Object.getOwnPropertyDescriptor(target, key)?.value as Data;
    }
    if (edit.edit === "delete") delete target[name];
    else
      define(
        target,
        name,
        valueAfter(edit, Object.hasOwn(target, name) ? target[name] : undefined),
      );
  }

  #hold(held: InHand): number {
    return this.#inHand.push(held) - 1;
  }

  /** The latest of those there are comes first: there a request most likely still runs. */
  #pick(from: readonly unknown[], index: number): number {
    return from.length - 1 - (index % from.length);
  }

  #keys(): string[] {
    return this.#sids.map((sid) => this.#bench.prefix + sid);
  }

  #fail(why: string): never {
    throw new Error(`${why}\nafter\n${this.log.map((line) => `  ${line}`).join("\n")}`);
  }
}

/** What an edit puts in the place of `old`. */
function valueAfter(edit: Exclude<Edit, { edit: "maxAge" | "delete" }>, old: unknown): unknown {
  switch (edit.edit) {
    case "set":
      return edit.n;
    case "setDate":
      return new Date(edit.n);
    case "setUndefined":
      return undefined;
    case "setObject":
      return { ...(edit.id === undefined ? {} : { id: edit.id }), name: edit.n };
    case "setNull":
      return null;
    case "empty":
      return {};
    case "push":
      return [...(Array.isArray(old) ? (old as unknown[]) : []), edit.n];
  }
}

/** The object as JSON reads it back: what a serializer is given. */
function snapshot(session: object): Places {
  return placesOf(JSON.parse(JSON.stringify(session)) as object);
}

/** The courses of events that begin with `world` and in which `events` happened in some order. */
function* explanations(world: World, events: Happened[], during: During): Generator<World> {
  if (events.length === 0) {
    yield world;
    return;
  }
  for (const [index, event] of events.entries()) {
    const course = world.fork();
    if (course.explains(event, during)) {
      yield* explanations(course, events.toSpliced(index, 1), during);
    }
  }
}

function describe(event: Happened): string {
  const answer =
    typeof event.answer === "object" && event.answer !== null ? show(event.answer) : event.answer;
  const { do: did, ...what } = event;
  const mine = "mine" in what ? ` ${show(what.mine)}` : "";
  const sid = "sid" in what ? ` ${what.sid}` : "";
  const object = "object" in what ? ` object ${what.object}` : "";
  const store = "store" in what ? ` store ${what.store}` : "";
  return `${did}${sid}${object}${store}${mine} -> ${answer}`;
}
