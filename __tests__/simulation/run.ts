// Runs one plan from its beginning to its rest, and asks the contract what it says.
import { Player, type Stage, sessionOf } from "./actors.js";
import { AppServer, PREFIX, type Room } from "./app-server.js";
import { Link, type Network, OBSERVER, type SimulatedClient } from "./client.js";
import { type Broken, contract, type Leniencies } from "./contract.js";
import { type Finale, History, placesOf, type Rules, type Why } from "./history.js";
import { type Plan, TIMEOUT, type Trouble, TTL, USERS, type Variant } from "./plan.js";
import { type Cause, type Change, digestOf, hashOf, SimulatedRedis, type Stored } from "./redis.js";
import { named, shownStored } from "./shown.js";
import { Chance, Time } from "./time.js";

/** What came of a run. */
export interface Outcome {
  readonly broken: Broken | undefined;
  /** How often the contract had to be lenient, by reason. */
  readonly leniencies: Leniencies;
  /** How many things happened. */
  readonly events: number;
  /** What happened, for readers, where that was asked for. */
  readonly told: string[];
  /** Of everything that happened: the same for the same plan, wherever it runs. */
  readonly fingerprint: number;
}

/** No run takes longer, in ms of its own time. */
const LONGEST = 120_000;
/** For how long it rests in the end: everything late has come by then. */
const REST = 1_500;

const rejections: string[] = [];

/** Has rejections that nobody handles count as broken promises and not end this process. */
export function catchRejections(): void {
  process.on("unhandledRejection", (error) => {
    rejections.push(error instanceof Error ? String(error.stack) : String(error));
  });
}

/** Everything that was started has come to where it waits. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Runs one plan. */
export async function run(plan: Plan, room: Room, isTold = false): Promise<Outcome> {
  return new Run(plan, room, isTold).run();
}

class Run {
  readonly #plan: Plan;
  readonly #room: Room;
  readonly #told: string[] = [];
  /** Stored sessions by their digests, as readers see them. */
  readonly #texts = new Map<string, string>();
  readonly #time = new Time();
  readonly #chance: Chance;
  readonly #history: History;
  readonly #network: Network;
  readonly #server: SimulatedRedis;
  readonly #servers: AppServer[] = [];
  readonly #all: AppServer[] = [];
  #why: Why | undefined;
  #fingerprint = 0;
  #events = 0;

  constructor(plan: Plan, room: Room, isTold: boolean) {
    this.#plan = plan;
    this.#room = room;
    this.#chance = new Chance(plan.seed);
    this.#history = new History(rulesOf(plan.variant));
    const tell = isTold ? (what: string) => this.#tell(what) : undefined;
    this.#server = new SimulatedRedis({
      now: () => this.#time.now,
      native: plan.variant.native,
      page: 2,
      onChange: (change, cause) => this.#changed(change, cause),
      onRead: (key, { connection }) => this.#clients((client) => client.track(key, connection)),
    });
    this.#network = {
      time: this.#time,
      server: this.#server,
      chance: this.#chance,
      timeout: TIMEOUT,
      downUntil: 0,
      pausedUntil: 0,
      onRepeat: (process, words) => {
        const key = words.find((word) => String(word).startsWith(PREFIX));
        const sid = String(key).slice(PREFIX.length);
        this.#history.repeats.push({ order: this.#history.next(), process, sid });
      },
      tell,
      shown: shownStored,
    };
  }

  async run(): Promise<Outcome> {
    const plan = this.#plan;
    rejections.length = 0;
    const stores = 1 + Math.max(...plan.actors.map(({ store }) => store), 0);
    this.#room.enter(this.#network);
    for (let number = 0; number < plan.processes; number++) {
      this.#start(number, stores);
      await settled();
    }
    const stage: Stage = {
      history: this.#history,
      time: this.#time,
      chance: this.#chance,
      server: (number) => this.#servers[number] as AppServer,
      jars: new Map(),
      tell: this.#network.tell,
      counts: { sids: 0, objects: 0 },
    };
    const begin = this.#time.now;
    for (const trouble of plan.troubles) {
      this.#time.at(begin + trouble.after, undefined, () => this.#makeTrouble(trouble, stores));
    }
    const players = plan.actors.map((actor) => new Player(actor, stage));
    const crashes: string[] = [];
    for (const player of players) {
      player.play().catch((error: Error) => crashes.push(String(error.stack)));
    }
    await settled();
    const isOver = () =>
      players.every(({ isDone }) => isDone) &&
      plan.troubles.every(({ after }) => begin + after < this.#time.now);
    await this.#until(begin + LONGEST, isOver);
    await this.#until(this.#time.now + REST, () => false);
    this.#history.finale = await this.#finish(crashes);
    const leniencies: Leniencies = new Map();
    const broken = contract(this.#history, leniencies);
    return {
      broken,
      leniencies,
      events: this.#events,
      told: this.#told,
      fingerprint: this.#fingerprint,
    };
  }

  async #until(until: number, isOver: () => boolean): Promise<void> {
    const time = this.#time;
    while (!isOver()) {
      const before = time.count;
      const next = time.next(until);
      if (next === undefined) break;
      this.#events++;
      // A timer that looks now and then mostly does nothing but to be set again.
      if (next.isQuiet) await undefined;
      if (!next.isQuiet || time.count > before + 1) await settled();
    }
    await settled();
  }

  #start(number: number, stores: number): void {
    const generation = this.#all.filter(({ name }) => name.startsWith(`app${number + 1}`)).length;
    const name = `app${number + 1}${"'".repeat(generation)}`;
    const server = new AppServer(name, this.#room, this.#network, this.#plan.variant, stores);
    server.onRefusal = () => {
      this.#history.refusals.push({ order: this.#history.next(), process: name });
    };
    this.#servers[number] = server;
    this.#all.push(server);
  }

  #clients(work: (client: SimulatedClient) => void): void {
    for (const { client, isDead } of this.#all) if (!isDead) client.family.forEach(work);
  }

  /** Told of each change of a key. */
  #changed({ key, before, after, events }: Change, cause: Cause | undefined): void {
    const { connection } = cause ?? {};
    this.#clients((client) => client.invalidate(key, connection));
    if (events.length > 0) {
      this.#clients((client) => client.publish(`__keyspace@0__:${key}`, events));
    }
    this.#fingerprint = hashOf(
      `${this.#fingerprint} ${key} ${this.#time.now} ${fingerprintOf(after)}`,
    );
    if (!key.startsWith(PREFIX)) {
      const { losses, forgotten } = this.#history;
      const lost = key.startsWith(NOTES) ? forgotten : losses;
      if (this.#why !== undefined) lost.push(this.#history.next());
      return;
    }
    const session =
      after?.type === "string" ? sessionOf(after.text, key.slice(PREFIX.length)) : undefined;
    if (this.#network.tell && after?.type === "string") {
      const sid = key.slice(PREFIX.length);
      const shown = shownStored(Buffer.from(after.text, "latin1"), sid);
      this.#texts.set(digestOf(after.text), shown);
    }
    const cookie = (session?.cookie ?? {}) as { originalMaxAge?: number | null };
    const created = session?.__createdAt;
    const why =
      this.#why ??
      (cause === undefined || (after === undefined && (before?.ends ?? Infinity) <= this.#time.now)
        ? "expired"
        : after === undefined
          ? "removed"
          : "written");
    this.#history.add({
      order: this.#history.next(),
      time: this.#time.now,
      sid: key.slice(PREFIX.length),
      places: session ? placesOf(session) : null,
      text: after?.type === "string" ? after.text : null,
      user: session?.user as string | undefined,
      maxAge: cookie.originalMaxAge ?? undefined,
      created: typeof created === "number" ? created : undefined,
      ends: after?.ends,
      why,
      process: connection instanceof Link ? connection.process : undefined,
      event: eventOf(events),
    });
    if (why !== "written" && why !== "removed") this.#network.tell?.(`${key} is ${why}`);
  }

  #tell(what: string): void {
    const time = String(this.#time.now % 1_000_000).padStart(6);
    this.#told.push(`${time}  ${named(what, this.#texts)}`);
  }

  #makeTrouble(trouble: Trouble, stores: number): void {
    const { tell, time } = this.#network;
    const server = "process" in trouble ? this.#servers[trouble.process] : undefined;
    const { what } = trouble;
    if (!HARMLESS.has(what)) this.#history.isTroubled = true;
    switch (what) {
      case "fault": {
        const client = server?.client.family[trouble.connection] ?? server?.client;
        const which = trouble.writes ? "write" : "command";
        tell?.(`TROUBLE: the next ${which} of ${client?.name}: ${trouble.fault}`);
        client?.arm(trouble.fault, trouble.writes);
        return;
      }
      case "connection lost":
        tell?.(`TROUBLE: ${server?.name} loses a connection`);
        (server?.client.family[trouble.connection] ?? server?.client)?.cut();
        return;
      case "evict": {
        const keys = [...this.#server.keys().keys()].sort();
        const kind = keys.filter((key) => kindOf(key) === trouble.kind);
        const key = kind[trouble.pick % kind.length];
        if (key === undefined) return;
        tell?.(`TROUBLE: ${key} is evicted`);
        this.#because("evicted", () => this.#server.evict(key));
        return;
      }
      case "flush":
        tell?.("TROUBLE: FLUSHALL");
        this.#because("flushed", () => this.#server.execute(["FLUSHALL"]));
        return;
      case "forget scripts":
        tell?.("TROUBLE: SCRIPT FLUSH");
        this.#server.execute(["SCRIPT", "FLUSH"]);
        return;
      case "fail over":
        tell?.(`TROUBLE: a failover loses the last ${trouble.lost} writes`);
        this.#clients((client) => client.cut());
        this.#because("failed over", () => this.#server.failOver(trouble.lost));
        return;
      case "server down":
        tell?.(`TROUBLE: the server is down for ${trouble.ms} ms`);
        this.#network.downUntil = time.now + trouble.ms;
        this.#clients((client) => client.cut());
        return;
      case "server paused":
        tell?.(`TROUBLE: the server stands still for ${trouble.ms} ms`);
        this.#network.pausedUntil = time.now + trouble.ms;
        return;
      case "clock":
        tell?.(`TROUBLE: the clock of ${server?.name} is set by ${trouble.ms} ms`);
        server?.clock.step(trouble.ms);
        this.#history.steps.push({
          order: this.#history.next(),
          process: server?.name ?? "",
          ms: trouble.ms,
        });
        return;
      case "stop":
        if (server === undefined || server.clock.isStopped) return;
        tell?.(`TROUBLE: ${server.name} is stopped for ${trouble.ms} ms`);
        server.clock.isStopped = true;
        this.#history.stops.push({
          process: server.name,
          from: time.now,
          until: time.now + trouble.ms,
        });
        time.at(time.now + trouble.ms, undefined, () => server.clock.resume());
        return;
      case "kill":
        tell?.(`TROUBLE: ${server?.name} dies`);
        server?.kill();
        if (server) this.#history.deaths.add(server.name);
        for (const call of this.#history.calls) {
          if (call.process === server?.name && call.ended === undefined) call.isAbandoned = true;
        }
        this.#start(trouble.process, stores);
        return;
      case "serializer fails":
        if (server) server.failing = 1;
        return;
    }
  }

  #because(why: Why, work: () => unknown): void {
    this.#why = why;
    work();
    this.#why = undefined;
  }

  /** The sids that the index of a user names. */
  #entered(user: string): string[] {
    const name = `{${Buffer.from(user).toString("base64url")}}:active`;
    return [...this.#server.keys()].flatMap(([key, stored]) =>
      key.endsWith(name) && stored.type === "zset" ? [...stored.scores.keys()] : [],
    );
  }

  /** Everything rests; what is there is looked at, by a process of its own. */
  async #finish(crashes: readonly string[]): Promise<Finale> {
    const timers = new Map<string, number>();
    for (const watch of this.#history.watches) watch.until = this.#history.next();
    // What was told before is heard; or a connection counts as dead, and after the next look there is a gap.
    await this.#until(this.#time.now + REST, () => false);
    for (const server of this.#all) {
      if (server.isDead) continue;
      server.isUp();
      for (const store of server.stores) store.close();
      await settled();
    }
    await this.#until(this.#time.now + REST, () => false);
    // A logout without an answer is repeated as often as that goes wrong.
    const areDone = () => this.#all.every(({ isDead, clock }) => isDead || clock.timers === 0);
    await this.#until(this.#time.now + 10 * REST, areDone);
    for (const { name, isDead, clock } of this.#all) if (!isDead) timers.set(name, clock.timers);
    for (const crash of crashes) rejections.push(crash);
    const finale = {
      at: this.#time.now,
      entered: new Map(USERS.map((user) => [user, this.#entered(user)])),
      live: new Map<string, string[]>(),
      listed: new Map<string, readonly string[]>(),
      listedAgain: new Map<string, readonly string[]>(),
      left: new Map<string, readonly string[]>(),
      timers,
      rejections: [...rejections],
      failed: [] as string[],
    };
    if (!this.#plan.variant.users) return finale;
    // It looks and renews, whatever the app's stores may do.
    const variant: Variant = {
      ...this.#plan.variant,
      limit: undefined,
      rejects: false,
      cache: false,
      disableTTL: false,
      disableTouch: false,
    };
    const observer = new AppServer(OBSERVER, this.#room, this.#network, variant, 1);
    const store = observer.stores[0] as AppServer["stores"][number];
    const ask = async <T>(what: string, work: () => Promise<T>): Promise<T | undefined> => {
      observer.isUp();
      let result: T | undefined;
      let isDone = false;
      work().then(
        (value) => {
          result = value;
          isDone = true;
        },
        (error) => {
          finale.failed.push(`${what}: ${error}`);
          isDone = true;
        },
      );
      await settled();
      await this.#until(this.#time.now + REST, () => isDone);
      if (!isDone) finale.failed.push(`${what} was not answered`);
      return result;
    };
    const live = (user: string) =>
      [...this.#server.keys()]
        .filter(
          ([key, stored]) =>
            key.startsWith(PREFIX) && userOf(stored, key.slice(PREFIX.length)) === user,
        )
        .map(([key]) => key.slice(PREFIX.length))
        .sort();
    const list = async (user: string) =>
      ((await ask(`sessionsOf ${user}`, () => store.sessionsOf(user))) ?? []).map(({ sid }) => sid);
    for (const user of USERS) finale.listed.set(user, await list(user));
    for (const user of USERS) finale.live.set(user, live(user));
    for (const user of USERS) {
      for (const sid of live(user)) {
        const session = await ask(`get ${sid}`, () => store.get(sid));
        if (session) await ask(`touch ${sid}`, () => store.touch(sid, session));
      }
    }
    for (const user of USERS) {
      const listed = await list(user);
      finale.listedAgain.set(user, listed);
      finale.at = this.#time.now;
      // What has come to its end meanwhile is not missed.
      const before = finale.live.get(user) as string[];
      finale.live.set(
        user,
        before.filter((sid) => live(user).includes(sid)),
      );
    }
    for (const user of USERS) {
      await ask(`destroyAllOf ${user}`, () => store.destroyAllOf(user));
      finale.left.set(user, live(user));
      finale.at = this.#time.now;
    }
    return finale;
  }
}

/** What leaves the network, the servers and the processes as they are. */
const HARMLESS = new Set<Trouble["what"]>(["evict", "flush", "forget scripts", "serializer fails"]);

/** Names of notes of endings begin with this. */
const NOTES = "ended:";

function kindOf(key: string): "session" | "index" | "note" {
  if (key.startsWith(PREFIX)) return "session";
  return key.startsWith(NOTES) ? "note" : "index";
}

/** What `watch()` makes of what the server tells of one command. */
function eventOf(events: readonly string[]): string | undefined {
  if (events.includes("set")) return events.includes("new") ? "created" : "updated";
  const names: Record<string, string> = {
    expire: "touched",
    persist: "touched",
    del: "destroyed",
    evicted: "destroyed",
    expired: "expired",
  };
  return names[events[0] ?? ""];
}

function userOf(stored: Stored, sid: string): unknown {
  return stored.type === "string" ? sessionOf(stored.text, sid).user : undefined;
}

function fingerprintOf(stored: Stored | undefined): string {
  if (stored === undefined) return "nothing";
  const content =
    stored.type === "string"
      ? stored.text
      : stored.type === "zset"
        ? [...stored.scores].join()
        : "";
  return `${content} ${stored.ends}`;
}

function rulesOf(variant: Variant): Rules {
  const { rolling, absolute, touchAfter, conflict, users, limit, rejects, cache } = variant;
  const { disableTTL, disableTouch, requireNewId, endings } = variant;
  return {
    timeout: TIMEOUT,
    idle: TTL * 1000,
    touchAfter: touchAfter * 1000,
    deadline: absolute ? 2 * TTL * 1000 : undefined,
    rolling,
    conflict,
    users,
    limit: users ? limit : undefined,
    rejects,
    cache,
    disableTTL,
    disableTouch,
    requireNewId,
    endings,
  };
}
