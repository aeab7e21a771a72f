/**
 * What docs/parallel-requests.md promises, as a model that shares nothing with
 * the implementation. A session is a flat map of places; a save is a list of changed places. The
 * implementation merges trees, so a mistake in one is unlikely to be repeated in the other.
 */

/** What stands at each place of a session: "user/role" → "=1", and "user" → "{}" with its identity. */
export type Places = ReadonlyMap<string, string>;

/** Names that an express-session object cannot show, since it has members that are called so. */
const HIDDEN = ["id", "req", "touch", "save", "reload", "__proto__", "constructor", "toString"];

const AGE = "cookie/originalMaxAge";
/** What the store itself adds to a session that has a deadline. */
const CREATED = "__createdAt";
const MINUTE = 60_000;

/** A session's places, given the session as JSON would read it back. */
export function placesOf(session: object): Places {
  const places = new Map<string, string>();
  const walk = (value: unknown, path: string): void => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      places.set(path, `=${JSON.stringify(value)}`);
      return;
    }
    const identity = ["id", "_id"].map((name) =>
      Object.hasOwn(value, name) ? JSON.stringify((value as Record<string, unknown>)[name]) : "",
    );
    places.set(path, `{${identity.join()}}`);
    for (const [key, below] of Object.entries(value)) walk(below, `${path}/${key}`);
  };
  for (const [key, value] of Object.entries(session)) {
    if (key !== "cookie" && key !== CREATED) walk(value, key);
  }
  const { originalMaxAge = null } = (session as { cookie: { originalMaxAge?: number | null } })
    .cookie;
  // express-session takes it from the clock again and again; the model knows whole minutes only.
  const age = originalMaxAge === null ? null : Math.round(originalMaxAge / MINUTE) * MINUTE;
  places.set("cookie", "{,}");
  places.set(AGE, `=${age}`);
  return places;
}

/** What an object that express-session made shows of a session. */
function shown(places: Places, inflated: boolean): Places {
  if (!inflated) return places;
  return new Map([...places].filter(([place]) => !HIDDEN.includes(place.split("/")[0] as string)));
}

function same(a: Places, b: Places): boolean {
  return a.size === b.size && [...a].every(([place, value]) => b.get(place) === value);
}

/** The part of `places` at and below `place`. */
function part(places: Places, place: string): Places {
  return new Map([...places].filter(([at]) => at === place || at.startsWith(`${place}/`)));
}

/** The places that enclose `place`, the outermost first. */
function enclosing(place: string): string[] {
  const keys = place.split("/");
  return keys.slice(1).map((_, index) => keys.slice(0, index + 1).join("/"));
}

/** Where `to` differs from `from`, without what lies below such a place. */
function changed(from: Places, to: Places): string[] {
  const all = [...new Set([...from.keys(), ...to.keys()])];
  const differs = new Set(all.filter((place) => from.get(place) !== to.get(place)));
  return [...differs].filter((place) => !enclosing(place).some((outer) => differs.has(outer)));
}

function isObject(entry: string | undefined): boolean {
  return entry?.startsWith("{") === true;
}

/** `current` with what a request did to `base` when it made `mine` of it. */
function applied(base: Places, current: Places, mine: Places): Places {
  const result = new Map(current);
  const take = (place: string): void => {
    for (const at of part(result, place).keys()) result.delete(at);
    for (const [at, value] of part(mine, place)) result.set(at, value);
  };
  /** Two objects that both requests put there lie one upon the other. */
  const overlay = (place: string): void => {
    const entry = mine.get(place);
    if (!isObject(entry) || entry !== result.get(place)) {
      take(place);
      return;
    }
    for (const at of part(mine, place).keys()) {
      if (at !== place && !at.slice(place.length + 1).includes("/")) overlay(at);
    }
  };
  for (const place of changed(base, mine)) {
    // What enclosed it is no longer there, or is another object.
    if (enclosing(place).some((outer) => current.get(outer) !== base.get(outer))) continue;
    const bothNew = current.get(place) !== base.get(place);
    if (bothNew) overlay(place);
    else take(place);
  }
  return result;
}

/** Whether of what others did between `known` and `current` something is in `result`, and not by `mine`. */
function keepsOthers(known: Places, current: Places, mine: Places, result: Places): boolean {
  return [...new Set([...known.keys(), ...current.keys()])].some((place) => {
    const [was, is, own, left] = [known, current, mine, result].map((places) => {
      const entry = places.get(place);
      // That an object is another one shows in its id.
      return isObject(entry) ? "{}" : entry;
    });
    return is !== was && is !== own && is === left;
  });
}

/** An interval of the clock in which something happened. */
export interface During {
  readonly before: number;
  readonly after: number;
}

/** A stored session: it must live until `least` and must be gone after `most`. */
interface Stored {
  readonly places: Places;
  readonly least: number;
  readonly most: number;
}

/** A session object in the hands of a request. */
interface Held {
  readonly sid: string;
  readonly inflated: boolean;
  /** What the object was when last loaded or saved; `null`: a new one that was never saved. */
  readonly base: Places | null;
  /** What was stored then. */
  readonly known: Places | null;
}

/** A session object that was given to a store. */
interface Write {
  readonly store: number;
  readonly object: number;
  readonly mine: Places;
  /** The date of the cookie of a plain object. Where the app has just set it by hand, it counts. */
  readonly date?: number | undefined;
  readonly answer: string;
}

/** What was asked of a store and what it answered. */
export type Happened =
  | { do: "load"; object: number; sid: string; inflated: boolean; answer: Places | null }
  | (Write & { do: "save" })
  | (Write & { do: "touch" })
  | { do: "destroy"; store: number; sid: string; answer: number };

/** Where the promises leave room, in ms. */
export interface Room {
  /** Idle timeout of a session whose cookie has no age. */
  readonly ttl: number;
  readonly touchAfter: number;
}

/** Clocks drift, and a cookie's age with them; all times in the runs are far longer. */
const TOLERANCE = 1000;

/** One possible course of events so far. */
export class World {
  readonly #room: Room;
  readonly #sessions: Map<string, Stored>;
  readonly #objects: Map<number, Held>;
  /** When a store last set the expiry of a session. */
  readonly #renewed: Map<string, number>;

  constructor(room: Room, from?: World) {
    this.#room = room;
    this.#sessions = new Map(from ? from.#sessions : []);
    this.#objects = new Map(from ? from.#objects : []);
    this.#renewed = new Map(from ? from.#renewed : []);
  }

  fork(): World {
    return new World(this.#room, this);
  }

  /** Two worlds of the same key behave alike from here on. */
  key(): string {
    return JSON.stringify([this.#sessions, this.#objects, this.#renewed], (_key, value) =>
      value instanceof Map ? sorted(value as ReadonlyMap<unknown, unknown>) : value,
    );
  }

  /** A request made a new session object, or holds one under another session id now. */
  begin(object: number, sid: string): void {
    this.#objects.set(object, { sid, inflated: true, base: null, known: null });
  }

  /** The key was removed past all stores. */
  lose(sid: string): void {
    this.#sessions.delete(sid);
  }

  /** Whether this course of events explains the answer; it goes on with what was done. */
  explains(event: Happened, during: During): boolean {
    switch (event.do) {
      case "load":
        return this.#load(event);
      case "save":
        return this.#save(event, during) === event.answer;
      case "touch":
        return this.#touch(event, during);
      case "destroy":
        return (this.#sessions.delete(event.sid) ? 1 : 0) === event.answer;
    }
  }

  /** What is wrong with what Redis holds for a session, and for how many ms; `null`: nothing. */
  objection(sid: string, places: Places | null, left: number, { before, after }: During) {
    const stored = this.#sessions.get(sid);
    if (stored === undefined) return places === null ? null : `${sid} came back from the dead`;
    if (places === null) {
      if (after + TOLERANCE < stored.least) return `${sid} is gone before its idle timeout`;
      this.#sessions.delete(sid);
      return null;
    }
    if (!same(places, stored.places)) {
      return `${sid} holds ${show(places)} instead of ${show(stored.places)}`;
    }
    // It was looked at some time between the two.
    const early = stored.least - (after + left);
    if (early > TOLERANCE) return `${sid} ends ${early} ms before its idle timeout`;
    const late = before + left - stored.most;
    if (late > TOLERANCE) return `${sid} ends ${late} ms after its idle timeout and the slack`;
    return before - TOLERANCE > stored.most ? `${sid} lives after its idle timeout` : null;
  }

  #load(event: Happened & { do: "load" }): boolean {
    const stored = this.#sessions.get(event.sid);
    if (stored === undefined) return event.answer === null;
    const base = shown(stored.places, event.inflated);
    if (event.answer === null || !same(event.answer, base)) return false;
    const { sid, inflated } = event;
    this.#objects.set(event.object, { sid, inflated, base, known: base });
    return true;
  }

  #save({ store, object, mine, date }: Omit<Write, "answer">, during: During): string {
    const held = this.#objects.get(object) as Held;
    const { sid, inflated, base, known } = held;
    if (base === null || known === null) {
      this.#objects.set(object, { ...held, base: mine, known: mine });
      this.#live(store, sid, mine, during);
      return "OK";
    }
    const stored = this.#sessions.get(sid);
    if (stored === undefined) return "GONE";
    if (same(base, mine)) {
      this.#live(store, sid, stored.places, during);
      return "OK";
    }
    const current = shown(stored.places, inflated);
    if (userOf(base) !== userOf(current)) return "GONE";
    const result = applied(base, current, mine);
    const invisible = [...stored.places].filter(([place]) => !current.has(place));
    const byHand = inflated || base.get(AGE) === mine.get(AGE) ? undefined : date;
    this.#live(store, sid, new Map([...result, ...invisible]), during, byHand);
    this.#objects.set(object, { ...held, base: mine, known: result });
    return keepsOthers(known, current, mine, result) ? "MERGED" : "OK";
  }

  #touch(event: Happened & { do: "touch" }, during: During): boolean {
    const { store, object, mine, date, answer } = event;
    const { sid, base } = this.#objects.get(object) as Held;
    const age = mine.get(AGE) as string;
    if (base !== null && base.get(AGE) !== age) {
      const own = new Map(base).set(AGE, age);
      const result = this.#save({ store, object, mine: own, date }, during);
      return (result === "GONE" ? "EXPIRED" : "OK") === answer;
    }
    const stored = this.#sessions.get(sid);
    if (stored === undefined) {
      // A renewal that would change nothing is not sent, and so learns nothing.
      const since =
        during.after - (this.#renewed.get(`${store} ${sid}`) ?? Number.NEGATIVE_INFINITY);
      return answer === "EXPIRED" || since <= this.#slack(mine) + TOLERANCE;
    }
    // A request that started before the session's age changed may take the session for renewed.
    const { least } = stored;
    this.#live(store, sid, stored.places, during);
    if (stored.places.get(AGE) !== age) {
      this.#sessions.set(sid, { ...(this.#sessions.get(sid) as Stored), least });
    }
    return answer === "OK";
  }

  /** The session was used; or it ends when the app says. */
  #live(
    store: number,
    sid: string,
    places: Places,
    { before, after }: During,
    date?: number,
  ): void {
    const idle = this.#idle(places);
    this.#sessions.set(sid, {
      places,
      least: date ?? before + idle,
      most: (date ?? after + idle) + this.#slack(places),
    });
    this.#renewed.set(`${store} ${sid}`, after);
  }

  #idle(places: Places): number {
    return (JSON.parse((places.get(AGE) as string).slice(1)) as number | null) ?? this.#room.ttl;
  }

  #slack(places: Places): number {
    return Math.min(this.#room.touchAfter, this.#idle(places) / 60);
  }
}

function userOf(places: Places): string {
  return JSON.stringify([...part(places, "passport/user")]);
}

export function show(places: Places | null): string {
  return places === null ? "nothing" : JSON.stringify(Object.fromEntries(sorted(places)));
}

function sorted<Key, Value>(map: ReadonlyMap<Key, Value>): [Key, Value][] {
  return [...map].sort(([a], [b]) => (String(a) < String(b) ? -1 : 1));
}
