// What apps do with a store: requests, plain code, an operator. Everything they ask is written down.
import type { SessionEvents, SessionPage } from "../../lib/index.js";
import { type AppServer, type LiveSession, opened, parse } from "./app-server.js";
import {
  type Call,
  DEFINITE,
  type History,
  type Leaf,
  type Places,
  placesOf,
  shownPlaces,
  type Watch,
  type What,
  type Wish,
} from "./history.js";
import { type Actor, type From, type Step, TTL } from "./plan.js";
import { bytesOf } from "./redis.js";
import type { Chance, Time } from "./time.js";

type Tree = Record<string, unknown>;
type Store = AppServer["stores"][number];

/** What actors share. */
export interface Stage {
  readonly history: History;
  readonly time: Time;
  readonly chance: Chance;
  /** The process that has a number now: one that died has a successor. */
  server(number: number): AppServer;
  /** The session ids that browsers have, by number. */
  readonly jars: Map<number, string>;
  readonly tell: ((what: string) => void) | undefined;
  /** How many there have been. */
  counts: { sids: number; objects: number };
}

/** A session object in the hands of an app. */
interface Held {
  readonly number: number;
  readonly sid: string;
  readonly session: Tree;
  /** What express-session compares at the end. */
  saved: string | undefined;
  readonly isLoaded: boolean;
  /** The call that gave it, by number. */
  readonly source: number | undefined;
  /** Whether the next save may make a session where none is. */
  isNew: boolean;
  /** The session as last confirmed: loaded, or saved with an answer. */
  confirmed: Places;
  /** What unanswered saves have tried to make of places, and when first. */
  tried: Map<string, Map<Leaf, number>>;
  /** To take changes back. */
  readonly changes: { readonly place: string; readonly before: Leaf }[];
}

interface Asked {
  readonly what: What;
  readonly sid: string;
  readonly held?: Held | undefined;
  readonly isNew?: boolean;
  readonly isWhole?: boolean;
  readonly places?: Places;
  readonly user?: string | undefined;
  readonly idle?: number | undefined;
  readonly isRow?: boolean;
  readonly isSpoilt?: boolean;
  readonly except?: string | undefined;
}

interface Row {
  readonly sid: string;
  readonly session: Tree;
}

/** Plays one actor to its end. */
export class Player {
  #isOver = false;
  #isAsking = false;
  readonly #actor: Actor;
  readonly #stage: Stage;
  #held: Held | undefined;
  #server: AppServer;
  #step = 0;
  /** The last call that gave it sessions, by number. */
  #gave: number | undefined;

  constructor(actor: Actor, stage: Stage) {
    this.#actor = actor;
    this.#stage = stage;
    this.#server = stage.server(actor.process);
  }

  async play(): Promise<void> {
    const { steps, name, process } = this.#actor;
    for (const [number, step] of steps.entries()) {
      this.#step = number;
      await this.#sleep(this.#stage.chance.pick([0, 0, 1, 1, 2, 5], `${name} ${number} thinks`));
      const server = this.#stage.server(process);
      server.isUp();
      if (server !== this.#server) {
        this.#server = server;
        this.#held = undefined;
      }
      this.#isAsking = step.do !== "wait";
      try {
        await this.#do(step);
      } catch (error) {
        // The app's error handler; what failed is written down already.
        if ((error as { code?: string }).code === undefined) throw error;
      }
      this.#isAsking = false;
    }
    this.#isOver = true;
  }

  /** It has come to its end, or waits for a process that is dead. */
  get isDone(): boolean {
    return this.#isOver || (this.#isAsking && this.#server.isDead);
  }

  get #store(): Store {
    const { stores } = this.#server;
    return stores[this.#actor.store] ?? (stores[0] as Store);
  }

  get #value(): string {
    return `${this.#actor.name.split(" ")[1]}.${this.#step}`;
  }

  async #do(step: Step): Promise<void> {
    switch (step.do) {
      case "wait":
        return this.#sleep(step.ms);
      case "trouble":
        return this.#trouble(step);
      case "request":
        return this.#request();
      case "set":
        return this.#change(step.place, this.#value);
      case "delete":
        return this.#change(step.place, undefined);
      case "undo": {
        const last = this.#held?.changes.pop();
        if (this.#held && last) put(this.#held.session, last.place, last.before);
        return;
      }
      case "log in":
        return this.#logIn(step.user);
      case "log out":
        return this.#logOut();
      case "maxAge":
        if (this.#held) (this.#held.session.cookie as LiveSession["cookie"]).maxAge = step.ms;
        return;
      case "save":
        return this.#held && this.#save(this.#held);
      case "save twice":
        return this.#saveTwice(step.place);
      case "save thrice":
        return this.#saveThrice(step.place);
      case "read": {
        const sid = this.#stage.jars.get(this.#actor.browser);
        if (sid !== undefined)
          await this.#ask({ what: "get", sid }, (store, done) => store.get(sid, done));
        return;
      }
      case "begin":
        return this.#generate(this.#stage.jars.get(this.#actor.browser));
      case "respond":
        return this.#respond();
      case "destroy":
        return this.#destroy();
      case "regenerate":
        if (this.#held === undefined) return;
        await this.#destroy().catch((error: { code?: string }) => {
          if (error.code === undefined) throw error;
        });
        this.#generate();
        return;
      case "plain":
        return this.#plain(step.place);
      case "overwrite":
        return this.#overwrite(step.place);
      case "give back":
        return this.#giveBack(step.from, step.place);
      case "touch row":
        return this.#touchRow(step.from, step.ms);
      case "list":
        await this.#ask({ what: "sessionsOf", sid: "", user: step.user }, (store, done) =>
          store.sessionsOf(step.user, done),
        );
        return;
      case "destroy all":
        return this.#destroyAll(step);
      case "end":
        return this.#end(step.from);
      case "destroy one":
        return this.#destroyOne(step.user);
      case "why":
        return this.#why();
      case "watch":
        return this.#watch();
      case "spoil":
        return this.#held && this.#spoil(this.#held);
      case "clear":
        await this.#ask({ what: "clear", sid: "" }, (store, done) => store.clear(done));
        return;
    }
  }

  #trouble({ fault, after = 0, reads = false }: Step & { do: "trouble" }): void {
    const which = reads ? "command" : "write";
    const place = after === 0 ? "the next" : `after ${after} the next`;
    const { client, name } = this.#server;
    this.#stage.tell?.(`TROUBLE: ${place} ${which} of ${name}: ${fault}`);
    this.#stage.history.isTroubled = true;
    client.arm(fault, !reads, after);
  }

  async #request(): Promise<void> {
    const sid = this.#stage.jars.get(this.#actor.browser);
    this.#held = undefined;
    if (sid === undefined) return this.#generate();
    const store = this.#store;
    const plain = (await this.#ask({ what: "get", sid }, (_, done) =>
      store.get(sid, done),
    )) as Tree | null;
    if (plain === null) return this.#generate();
    const session = store.createSession({ sessionID: sid } as never, plain as never);
    this.#hold(sid, session as unknown as Tree, true);
  }

  #generate(sid = `sid${++this.#stage.counts.sids}`): void {
    const { Session, Cookie } = this.#server.express;
    const session = new Session({ sessionID: sid });
    // Of three browsers each gets a cookie of another kind.
    session.cookie = new Cookie(
      [{}, { maxAge: 5000 }, { maxAge: 8000 }][this.#actor.browser] ?? {},
    );
    this.#hold(sid, session, false);
  }

  #hold(sid: string, session: Tree, isLoaded: boolean): Held {
    const number = ++this.#stage.counts.objects;
    const confirmed = isLoaded ? placesOf(session) : new Map();
    const saved = isLoaded ? hashOf(session) : undefined;
    const isNew = !isLoaded;
    this.#held = {
      number,
      sid,
      session,
      saved,
      isLoaded,
      source: isLoaded ? this.#gave : undefined,
      isNew,
      confirmed,
      tried: new Map(),
      changes: [],
    };
    return this.#held;
  }

  #change(place: string, value: Leaf): void {
    const held = this.#held;
    if (held === undefined) return;
    const before = placesOf(held.session).get(place);
    if (!put(held.session, place, value)) return;
    if (before !== "{}") held.changes.push({ place, before });
    this.#stage.tell?.(`${this.#actor.name} makes ${place} ${value ?? "nothing"}`);
  }

  #logIn(user: string): void {
    const { session } = this.#held ?? {};
    if (session === undefined) return;
    // Nothing of one user is left to another.
    if (session.user !== undefined && session.user !== user) this.#empty(session);
    session.user = user;
    this.#stage.tell?.(`${this.#actor.name} logs ${user} in`);
  }

  #logOut(): void {
    const { session } = this.#held ?? {};
    if (session?.user === undefined) return;
    this.#empty(session);
    this.#stage.tell?.(`${this.#actor.name} logs the user out`);
  }

  #empty(session: Tree): void {
    for (const key of Object.keys(session)) if (key !== "cookie") delete session[key];
  }

  async #respond(): Promise<void> {
    const held = this.#held;
    if (held === undefined) return;
    this.#held = undefined;
    const { session, sid } = held;
    (session as LiveSession).touch();
    if (held.saved !== hashOf(session)) return this.#save(held);
    if (!held.isLoaded) return;
    const asked: Asked = { what: "touch", sid, held, idle: idleOf(session) };
    await this.#ask(asked, (store, done) => store.touch(sid, session as never, done));
  }

  async #save(held: Held): Promise<void> {
    const { session, sid } = held;
    this.#stage.jars.set(this.#actor.browser, sid);
    held.saved = hashOf(session);
    const asked: Asked = { what: "save", sid, held, isNew: held.isNew, idle: idleOf(session) };
    await this.#ask(asked, (store, done) => store.set(sid, session as never, done));
  }

  async #saveTwice(place: string): Promise<void> {
    const held = this.#held;
    if (held === undefined) return;
    const first = this.#save(held);
    this.#change(place, `${this.#value}b`);
    const results = await Promise.allSettled([first, this.#save(held)]);
    for (const { reason } of results as Partial<PromiseRejectedResult>[]) if (reason) throw reason;
  }

  async #saveThrice(place: string): Promise<void> {
    const held = this.#held;
    if (held === undefined) return;
    const first = this.#save(held);
    this.#change(place, `${this.#value}b`);
    const second = this.#save(held);
    await Promise.allSettled([first]);
    this.#change(place, `${this.#value}c`);
    const results = await Promise.allSettled([first, second, this.#save(held)]);
    for (const { reason } of results as Partial<PromiseRejectedResult>[]) if (reason) throw reason;
  }

  async #destroy(): Promise<void> {
    const held = this.#held;
    if (held === undefined) return;
    this.#held = undefined;
    await this.#ask({ what: "destroy", sid: held.sid }, (store, done) =>
      store.destroy(held.sid, done),
    );
  }

  async #plain(place: string): Promise<void> {
    const sid = this.#stage.jars.get(this.#actor.browser);
    if (sid === undefined) return;
    const store = this.#store;
    const plain = (await this.#ask({ what: "get", sid }, (_, done) =>
      store.get(sid, done),
    )) as Tree | null;
    if (plain === null) return;
    const held = this.#hold(sid, plain, true);
    this.#held = undefined;
    put(plain, place, this.#value);
    await this.#save(held);
  }

  async #overwrite(place: string): Promise<void> {
    const sid = this.#stage.jars.get(this.#actor.browser);
    if (sid === undefined) return;
    const session: Tree = { cookie: { originalMaxAge: null } };
    put(session, place, this.#value);
    const places = placesOf(session);
    const asked: Asked = {
      what: "save",
      sid,
      isNew: true,
      isWhole: true,
      places,
      idle: TTL * 1000,
    };
    await this.#ask(asked, (store, done) => store.set(sid, session as never, done));
  }

  async #destroyAll({ user, others = false, scan = false }: Step & { do: "destroy all" }) {
    const except = others ? this.#stage.jars.get(this.#actor.browser) : undefined;
    const options = { ...(except && { except }), ...(scan && { scan }) };
    await this.#ask({ what: "destroyAllOf", sid: "", user, except }, (store, done) =>
      store.destroyAllOf(user, options, done),
    );
  }

  async #destroyOne(user: string): Promise<void> {
    const rows = (await this.#ask({ what: "sessionsOf", sid: "", user }, (store, done) =>
      store.sessionsOf(user, done),
    )) as { sid: string; handle: string }[];
    if (rows.length === 0) return;
    rows.sort((a, b) => (a.sid < b.sid ? -1 : 1));
    const name = `${this.#actor.name} ${this.#step} row`;
    const { sid, handle } = this.#stage.chance.pick(rows, name);
    await this.#ask({ what: "destroyOf", sid, user }, (store, done) =>
      store.destroyOf(user, handle, done),
    );
  }

  async #why(): Promise<void> {
    const { history, chance, jars } = this.#stage;
    const ended = history.calls.findLast(({ what, answer }) => ENDINGS.has(what) && answer === 1);
    const isOfEnded = chance.of(`${this.#actor.name} ${this.#step} why`) < 0.5;
    const sid = (isOfEnded && ended?.sid) || jars.get(this.#actor.browser);
    if (sid === undefined || !history.rules.endings) return;
    await this.#ask({ what: "whyGone", sid }, (store, done) => store.whyGone(sid, done));
  }

  async #watch(): Promise<void> {
    const { history } = this.#stage;
    const { name } = this.#server;
    const source = (await this.#ask({ what: "watch", sid: "" }, (store, done) =>
      store.watch(done),
    )) as SessionEvents;
    const since = history.next();
    const watch: Watch = { process: name, since, until: Infinity, events: [], hasGap: false };
    history.watches.push(watch);
    for (const event of ["created", "updated", "touched", "destroyed", "expired"] as const) {
      source.on(event, (sid) => watch.events.push({ order: history.next(), event, sid }));
    }
    source.on("gap", () => {
      watch.hasGap = true;
    });
  }

  async #spoil(held: Held): Promise<void> {
    const places = placesOf(held.session);
    const { sid, session } = held;
    session.spoilt = 1n;
    try {
      const asked: Asked = {
        what: "save",
        sid,
        held,
        isNew: held.isNew,
        places,
        idle: idleOf(session),
        isSpoilt: true,
      };
      await this.#ask(asked, (store, done) => store.set(sid, session as never, done));
    } finally {
      delete session.spoilt;
    }
  }

  /** One of the rows of a listing. */
  async #row(from: From): Promise<Row | undefined> {
    const store = this.#store;
    const rows = (await this.#ask({ what: "list", sid: "", user: from }, (_, done) =>
      listed(store, from).then((found) => done(null, found), done),
    )) as Row[];
    rows.sort((a, b) => (a.sid < b.sid ? -1 : 1));
    const name = `${this.#actor.name} ${this.#step} row`;
    return rows.length > 0 ? this.#stage.chance.pick(rows, name) : undefined;
  }

  async #end(from: From): Promise<void> {
    const row = await this.#row(from);
    if (row === undefined) return;
    const { sid } = row;
    await this.#ask({ what: "destroy", sid }, (store, done) => store.destroy(sid, done));
  }

  async #touchRow(from: From, ms: number): Promise<void> {
    const row = await this.#row(from);
    if (row === undefined) return;
    const { sid, session } = row;
    await this.#sleep(ms);
    if (this.#server.isDead) return;
    this.#server.isUp();
    const held = this.#hold(sid, session, true);
    this.#held = undefined;
    const asked: Asked = { what: "touch", sid, held, isRow: true, idle: idleOf(session) };
    await this.#ask(asked, (store, done) => store.touch(sid, session as never, done));
  }

  async #giveBack(from: From, place: string): Promise<void> {
    const row = await this.#row(from);
    if (row === undefined) return;
    const { sid, session } = row;
    const isWhole = from === "all";
    const held = this.#hold(sid, session, true);
    this.#held = undefined;
    put(session, place, this.#value);
    // A row of all() is stored without the id that the listing has added.
    const { id, ...rest } = session;
    const places = placesOf(isWhole && id === sid ? rest : session);
    const asked: Asked = { what: "save", sid, held, isWhole, places };
    await this.#ask(asked, (given, done) => given.set(sid, session as never, done));
  }

  #sleep(ms: number): Promise<void> {
    const { time } = this.#stage;
    return new Promise((resolve) => time.at(time.now + ms, undefined, resolve));
  }

  /** Asks a store, and writes down what came of it. Never settles where the process dies. */
  #ask(
    asked: Asked,
    work: (store: Store, done: (error: Error | null, result?: unknown) => void) => unknown,
  ): Promise<unknown> {
    const { history, time, tell } = this.#stage;
    const { held, what, sid } = asked;
    const server = this.#server;
    const began = history.next();
    const call: Call = {
      number: history.calls.length,
      actor: this.#actor.name,
      process: server.name,
      store: this.#actor.store,
      what,
      sid,
      began,
      beganAt: time.now,
      wall: server.clock.wall(),
      ended: undefined,
      endedAt: undefined,
      answer: undefined,
      error: undefined,
      answers: 0,
      isAbandoned: false,
      object: held?.number,
      user: asked.user ?? (held?.session.user as string | undefined),
      source: held?.source,
      userBefore: held?.confirmed.get("user") as string | undefined,
      wishes: held && what === "save" ? wishesOf(held, began) : new Map(),
      isNew: asked.isNew ?? false,
      isWhole: asked.isWhole ?? false,
      places: asked.places ?? (held ? placesOf(held.session) : null),
      idle: asked.idle,
      isRow: asked.isRow ?? false,
      isSpoilt: asked.isSpoilt ?? false,
      tries: undefined,
      except: asked.except,
      read: undefined,
    };
    history.calls.push(call);
    if (what === "get" || what === "list") this.#gave = call.number;
    tell?.(`${call.actor} on ${server.name}: ${shownCall(call)}`);
    return new Promise((resolve, reject) => {
      const done = (error: Error | null, result?: unknown) => {
        if (server.isDead) return;
        if (++call.answers > 1) return;
        call.ended = history.next();
        call.endedAt = time.now;
        if (error === null) {
          call.answer = result;
          if (what === "get") call.read = result === null ? null : placesOf(result as object);
          if (held && (what === "save" || what === "touch")) settle(held, call);
        } else {
          call.error = (error as { code?: string }).code ?? String(error.stack);
          // A conflict of the index says nothing of the session.
          const tries = / each of (\d+) tries /.exec(error.message)?.[1];
          if (tries !== undefined) call.tries = Number(tries);
          // Nothing was stored, and nothing will be.
          if (held && DEFINITE.has(call.error))
            held.tried = stillTried(held, (since) => since !== began);
        }
        tell?.(`${call.actor} on ${server.name}: ${shownCall(call)} answers ${shownAnswer(call)}`);
        if (error === null) resolve(result);
        else reject(error);
      };
      if (this.#actor.callbacks || what === "list") work(this.#store, done);
      else {
        const store = this.#store;
        // Without its last argument, which is the callback.
        const direct = new Proxy(store, {
          get: (target, name) => {
            const method = Reflect.get(target, name, target) as (...given: unknown[]) => unknown;
            return (...given: unknown[]) => method.apply(target, given.slice(0, -1));
          },
        });
        const uncalled = () => done(new Error("the callback that was not passed was called"));
        const answer = work(what === "get" ? store : direct, what === "get" ? done : uncalled);
        if (answer instanceof Promise) answer.then((result) => done(null, result), done);
      }
    });
  }
}

/** What ends one session. */
const ENDINGS = new Set<What>(["destroy", "destroyOf"]);

/** The rows of a listing. */
async function listed(store: Store, from: From): Promise<Row[]> {
  const rows: { sid: string; session: object }[] = [];
  if (from === "all") {
    for (const session of await store.all()) rows.push({ sid: session.id, session });
  } else if (from === "sessions") {
    for await (const row of store.sessions()) rows.push(row);
  } else if (from === "page") {
    let cursor: string | null = null;
    do {
      const page: SessionPage = await store.page(
        cursor === null ? { limit: 2 } : { cursor, limit: 2 },
      );
      rows.push(...page.entries);
      cursor = page.cursor;
    } while (cursor !== null);
  } else rows.push(...(await store.sessionsOf("ada")));
  return rows as Row[];
}

/** What the app has made of an object since the store last confirmed it. */
function wishesOf(held: Held, now: number): ReadonlyMap<string, Wish> {
  const wishes = new Map<string, Wish>();
  const places = placesOf(held.session);
  for (const place of new Set([...places.keys(), ...held.confirmed.keys(), ...held.tried.keys()])) {
    const value = places.get(place);
    const before = held.confirmed.get(place);
    const tried = held.tried.get(place);
    if (value === before && tried === undefined) continue;
    const since = tried?.get(value) ?? now;
    const instead = [...(tried?.keys() ?? [])].findLast((each) => each !== value);
    wishes.set(
      place,
      value === before ? { value, since, instead, isUndone: true } : { value, since },
    );
    if (value === before) continue;
    if (tried === undefined) held.tried.set(place, new Map([[value, now]]));
    else tried.set(value, since);
  }
  return wishes;
}

/** What unanswered saves have tried, where it was first tried at a time that counts. */
function stillTried({ tried }: Held, isMeant: (since: number) => boolean): Held["tried"] {
  const still: Held["tried"] = new Map();
  for (const [place, values] of tried) {
    const meant = [...values].filter(([, since]) => isMeant(since));
    if (meant.length > 0) still.set(place, new Map(meant));
  }
  return still;
}

/** The store has confirmed a save: what comes next is compared with this. */
function settle(held: Held, call: Call): void {
  if (call.what !== "save") return;
  // What it was asked for since is under way.
  held.tried = stillTried(held, (since) => since > call.began);
  if (call.answer === "GONE") return;
  held.confirmed = call.places as Places;
  held.isNew = false;
}

/** Sets a place of a session; `false` where there is nothing to set. */
function put(session: Tree, place: string, value: Leaf): boolean {
  const [outer = "", inner] = place.split("/");
  if (inner === undefined && place === "box") {
    if (value === undefined) return delete session.box;
    session.box = { a: value };
  } else if (inner === undefined) {
    if (value === undefined) delete session[outer];
    else session[outer] = value;
  } else {
    const box = session[outer] as Tree | undefined;
    if (value === undefined) {
      if (box === undefined) return false;
      delete box[inner];
    } else if (box === undefined) session[outer] = { [inner]: value };
    else box[inner] = value;
  }
  return true;
}

function hashOf(session: Tree): string {
  return JSON.stringify(session, (key, value) => (key === "cookie" ? undefined : value));
}

function idleOf(session: Tree): number {
  return (session.cookie as LiveSession["cookie"]).originalMaxAge ?? TTL * 1000;
}

/** What Redis holds, as a session. */
export function sessionOf(stored: string, sid: string): Tree {
  return parse(opened(Buffer.from(bytesOf(stored), "latin1"), sid));
}

export function shownCall(call: Call): string {
  const { what, sid, places, user } = call;
  if (what === "save") return `saves ${sid} as ${shownPlaces(places)}`;
  if (what === "list") return `lists by ${user}()`;
  return `${what} ${sid || user || ""}`;
}

export function shownAnswer({ what, answer, error, read }: Call): string {
  if (error !== undefined) return error;
  if (what === "get") return shownPlaces(read ?? null);
  if (what === "list") return `${(answer as unknown[]).length} rows`;
  if (what === "watch") return "events";
  if (what === "whyGone") return (answer as { reason: string } | null)?.reason ?? "it is there";
  if (what === "sessionsOf") {
    return `[${(answer as { sid: string }[]).map(({ sid }) => sid).join(" ")}]`;
  }
  return String(answer);
}
