// What happened in one run, as the contract reads it.

/** What stands at a place of a session; `undefined`: nothing. */
export type Leaf = string | number | boolean | null | undefined;

/** A session by its places: "x", "box/a", and "box" itself, which is "{}" where there is one. */
export type Places = ReadonlyMap<string, Leaf>;

/** Why a session's key became what it is. */
export type Why = "written" | "removed" | "expired" | "evicted" | "flushed" | "failed over";

/** What Redis held for a session, from one moment up to the next version. */
export interface Version {
  /** When in the sequence of all that happened. */
  readonly order: number;
  /** In ms. */
  readonly time: number;
  readonly sid: string;
  /** `null`: nothing. */
  readonly places: Places | null;
  /** Which text of the session this is: a renewal makes another version of the same text. */
  readonly text: string | null;
  readonly user: string | undefined;
  /** The session's `cookie.originalMaxAge`. */
  readonly maxAge: number | undefined;
  /** When the session was created, where that is stored. */
  readonly created: number | undefined;
  /** When the key ends; `undefined`: never. */
  readonly ends: number | undefined;
  readonly why: Why;
  /** The process whose command it was. */
  readonly process: string | undefined;
  /** What `watch()` calls it, where the server told of it. */
  readonly event: string | undefined;
}

/** What one event source of a process told. */
export interface Watch {
  readonly process: string;
  /** When it was there, in the sequence of all that happened. */
  readonly since: number;
  /** When it was closed. */
  until: number;
  readonly events: { readonly order: number; readonly event: string; readonly sid: string }[];
  /** Whether it said itself that it may not have heard something. */
  hasGap: boolean;
}

/** What a save wants a place to be. */
export interface Wish {
  readonly value: Leaf;
  /** Not to be this any longer, which the same object wanted before: a request takes its change back. */
  readonly instead?: Leaf;
  readonly isUndone?: boolean;
  /** When the app first asked for it: saving again is no later write. */
  readonly since: number;
}

/** What was asked of a store. */
export type What =
  | "get"
  | "save"
  | "touch"
  | "destroy"
  | "destroyAllOf"
  | "destroyOf"
  | "whyGone"
  | "watch"
  | "clear"
  | "sessionsOf"
  | "list";

/** One call of a store. */
export interface Call {
  readonly number: number;
  readonly actor: string;
  readonly process: string;
  /** Which of the stores of the process. */
  readonly store: number;
  readonly what: What;
  readonly sid: string;
  readonly began: number;
  readonly beganAt: number;
  /** The time of day as the process had it. */
  readonly wall: number;
  ended: number | undefined;
  endedAt: number | undefined;
  /** What it answered, where it did. */
  answer: unknown;
  /** The code of its error. */
  error: string | undefined;
  /** How often its callback was called. */
  answers: number;
  /** The process died meanwhile. */
  isAbandoned: boolean;
  /** Which session object it was about; saves of one object are one request's. */
  readonly object: number | undefined;
  /** The call that gave the app its object, by number; `undefined`: it was generated. */
  readonly source: number | undefined;
  /** Whose session the object was. */
  readonly user: string | undefined;
  /** Whose it was when the store last confirmed what it is. */
  readonly userBefore: string | undefined;
  /** What the object wants, since the store last confirmed a save of it. */
  readonly wishes: ReadonlyMap<string, Wish>;
  /** Whether it may make a session where none is. */
  readonly isNew: boolean;
  /** Whether it is written as a whole, whatever is there. */
  readonly isWhole: boolean;
  /** What the object held. */
  readonly places: Places | null;
  /** The idle timeout that the object asks for, in ms. */
  readonly idle: number | undefined;
  /** Whether its object is a row of a listing: a touch of it may make a session live longer, and never shorter. */
  readonly isRow: boolean;
  /** Whether it was to store what no serializer takes. */
  readonly isSpoilt: boolean;
  /** Where it gave up: so many times it was computed anew, as it says. */
  tries: number | undefined;
  /** The session that `destroyAllOf` was to leave. */
  readonly except: string | undefined;
  /** What a get gave. */
  read: Places | null | undefined;
}

/** What was found in the end, when everything had come to rest. */
export interface Finale {
  /** When, in ms. */
  readonly at: number;
  /** What the index of each user names, before anybody looks at it. */
  readonly entered: ReadonlyMap<string, readonly string[]>;
  /** Live sessions by user, as Redis has them. */
  readonly live: ReadonlyMap<string, readonly string[]>;
  /** Sids by user as `sessionsOf` lists them. */
  readonly listed: ReadonlyMap<string, readonly string[]>;
  /** The same, after every session was used once more. */
  readonly listedAgain: ReadonlyMap<string, readonly string[]>;
  /** Sessions that `destroyAllOf` has left, by user. */
  readonly left: ReadonlyMap<string, readonly string[]>;
  /** Timers that nobody waits for any more, by process. */
  readonly timers: ReadonlyMap<string, number>;
  readonly rejections: readonly string[];
  /** Listings that failed though nothing was wrong any more. */
  readonly failed: readonly string[];
}

/** By which rules the run went, as far as the contract depends on them. */
export interface Rules {
  readonly timeout: number;
  /** In ms. */
  readonly idle: number;
  /** In ms. */
  readonly touchAfter: number;
  /** In ms since creation. */
  readonly deadline: number | undefined;
  readonly rolling: boolean;
  readonly conflict: "merge" | "overwrite" | "function";
  readonly users: boolean;
  readonly limit: number | undefined;
  readonly rejects: boolean;
  readonly cache: boolean;
  readonly disableTTL: boolean;
  readonly disableTouch: boolean;
  readonly requireNewId: boolean;
  /** Whether endings are remembered. */
  readonly endings: boolean;
}

/** Everything that happened in one run. */
export class History {
  readonly rules: Rules;
  readonly calls: Call[] = [];
  readonly versions = new Map<string, Version[]>();
  /** When indexes were lost: evicted, flushed, failed over. */
  readonly losses: number[] = [];
  /** When the clock of a process was set. */
  readonly steps: { readonly order: number; readonly process: string; readonly ms: number }[] = [];
  /** When a process was stopped, and for how long, in ms. */
  readonly stops: { readonly process: string; readonly from: number; readonly until: number }[] =
    [];
  /** When a client sent a command about a session again, which had been executed. */
  readonly repeats: { readonly order: number; readonly process: string; readonly sid: string }[] =
    [];
  /** When the serializer of a process failed. */
  readonly refusals: { readonly order: number; readonly process: string }[] = [];
  /** The processes that died. */
  readonly deaths = new Set<string>();
  readonly watches: Watch[] = [];
  /** When notes of endings were lost. */
  readonly forgotten: number[] = [];
  /** Whether the network or a server did anything wrong. */
  isTroubled = false;
  finale: Finale | undefined;
  #order = 0;

  constructor(rules: Rules) {
    this.rules = rules;
  }

  /** Where in the sequence something is that happens now. */
  next(): number {
    return ++this.#order;
  }

  add(version: Version): void {
    const versions = this.versions.get(version.sid);
    if (versions === undefined) this.versions.set(version.sid, [version]);
    else versions.push(version);
  }

  /** The versions of a session that were there at some time in an interval, the oldest first. */
  during(sid: string, from: number, until: number): Version[] {
    const versions = this.versions.get(sid) ?? [];
    return [NOTHING, ...versions].filter((version, index) => {
      const next = versions[index];
      return version.order <= until && (next === undefined || next.order > from);
    });
  }

  /** What was there at one time. */
  at(sid: string, order: number): Version {
    return this.during(sid, order, order).at(-1) as Version;
  }
}

/** Before the first version. */
const NOTHING: Version = {
  order: 0,
  time: 0,
  sid: "",
  places: null,
  text: null,
  user: undefined,
  maxAge: undefined,
  created: undefined,
  ends: undefined,
  why: "removed",
  process: undefined,
  event: undefined,
};

/** The places of a session, without its cookie and what the store adds. */
export function placesOf(session: object): Places {
  const places = new Map<string, Leaf>();
  const walk = (tree: object, path: string) => {
    for (const [key, value] of Object.entries(tree)) {
      if (path === "" && (key === "cookie" || key.startsWith("__") || key === "salt")) continue;
      if (typeof value === "object" && value !== null) {
        places.set(path + key, "{}");
        walk(value as object, `${path}${key}/`);
      } else places.set(path + key, value as Leaf);
    }
  };
  walk(session, "");
  return places;
}

export function samePlaces(a: Places | null, b: Places | null): boolean {
  if (a === null || b === null) return a === b;
  return a.size === b.size && [...a].every(([place, leaf]) => b.get(place) === leaf);
}

export function shownPlaces(places: Places | null): string {
  if (places === null) return "nothing";
  const shown = [...places]
    .filter(([, leaf]) => leaf !== "{}")
    .map(([at, leaf]) => `${at}=${leaf}`);
  return shown.length === 0 ? "an empty session" : shown.sort().join(" ");
}

/** Errors that say that nothing was stored. */
export const DEFINITE = new Set([
  "ERR_CONFLICT",
  "ERR_INVALID_SESSION",
  "ERR_INVALID_SID",
  "ERR_TOO_MANY_SESSIONS",
  "ERR_CORRUPT_SESSION",
]);
