// What a run is to do: options, actors with their steps, and faults.
import type { Fault } from "./client.js";

/** The options of the stores of a run that change a rule. Times in ms. */
export interface Variant {
  readonly rolling: boolean;
  readonly absolute: boolean;
  readonly touchAfter: number;
  readonly conflict: "merge" | "overwrite" | "function";
  readonly users: boolean;
  readonly limit: number | undefined;
  readonly rejects: boolean;
  readonly cache: boolean;
  /** "salted" never writes the same text twice, "slow" is one that takes its time. */
  readonly serializer: "json" | "salted" | "slow" | "binary";
  readonly native: boolean;
  /** Whether what ended sessions is remembered. */
  readonly endings: boolean;
  /** Sealed under a key of its own by every second process, or by all under one. */
  readonly sealed: "one key" | "two keys" | false;
  readonly disableTTL: boolean;
  readonly disableTouch: boolean;
  /** Whether a login under the id that was anonymous is refused. */
  readonly requireNewId: boolean;
}

/** A listing whose rows can be given back. */
export type From = "sessions" | "page" | "sessionsOf" | "all";

/** What an actor does next. `n` tells values apart, and picks. */
export type Step =
  /** A request comes in: express-session loads the browser's session, or generates one. */
  | { readonly do: "request" }
  | { readonly do: "set"; readonly place: string }
  | { readonly do: "delete"; readonly place: string }
  /** Takes the last change back. */
  | { readonly do: "undo" }
  | { readonly do: "log in"; readonly user: string }
  | { readonly do: "log out" }
  | { readonly do: "maxAge"; readonly ms: number }
  | { readonly do: "save" }
  /** Saves, goes on and saves again, before the first is answered. */
  | { readonly do: "save twice"; readonly place: string }
  /** The same, and once more when the first is answered. */
  | { readonly do: "save thrice"; readonly place: string }
  /** Loads the session of the browser and does nothing with it. */
  | { readonly do: "read" }
  /** An app that makes its ids itself begins a session under one that there may be already. */
  | { readonly do: "begin" }
  /** The response ends: express-session saves what was changed and touches what was not. */
  | { readonly do: "respond" }
  | { readonly do: "destroy" }
  | { readonly do: "regenerate" }
  /** Code that is no express-session: loads, changes and stores a plain object. */
  | { readonly do: "plain"; readonly place: string }
  /** The same without loading it. */
  | { readonly do: "overwrite"; readonly place: string }
  | {
      readonly do: "give back";
      readonly from: From;
      readonly place: string;
    }
  | { readonly do: "list"; readonly user: string }
  | {
      readonly do: "destroy all";
      readonly user: string;
      /** All but the session of its browser. */
      readonly others?: boolean;
      /** Looks through all sessions, whatever the index says. */
      readonly scan?: boolean;
    }
  /** Ends one of the sessions that a listing shows. */
  | { readonly do: "end"; readonly from: From }
  /** Ends one of a user's sessions by its handle. */
  | { readonly do: "destroy one"; readonly user: string }
  | { readonly do: "clear" }
  /** Asks why the session that it last had, or ended, is gone. */
  | { readonly do: "why" }
  /** Listens from here on to what happens to sessions. */
  | { readonly do: "watch" }
  /** Puts something into the session that no serializer takes, saves, and takes it out. */
  | { readonly do: "spoil" }
  /** Touches one of the rows of a listing, a while later. */
  | { readonly do: "touch row"; readonly from: From; readonly ms: number }
  /** Its next write goes wrong, after so many that do not; or its next command. */
  | {
      readonly do: "trouble";
      readonly fault: Fault;
      readonly after?: number;
      readonly reads?: boolean;
    }
  | { readonly do: "wait"; readonly ms: number };

/** One line of requests, or an operator at work. */
export interface Actor {
  readonly name: string;
  readonly process: number;
  /** Which of the stores of the process. */
  readonly store: number;
  /** Which cookie jar it shares. */
  readonly browser: number;
  /** Whether it calls with callbacks. */
  readonly callbacks: boolean;
  readonly steps: readonly Step[];
}

/** What goes wrong, and when. */
export type Trouble = { readonly after: number } & (
  | {
      readonly what: "fault";
      readonly process: number;
      readonly fault: Fault;
      /** Of which of the connections of the process: the app's, or another one. */
      readonly connection: number;
      readonly writes: boolean;
    }
  | { readonly what: "connection lost"; readonly process: number; readonly connection: number }
  | { readonly what: "evict"; readonly kind: "session" | "index" | "note"; readonly pick: number }
  | { readonly what: "flush" }
  | { readonly what: "forget scripts" }
  | { readonly what: "fail over"; readonly lost: number }
  | { readonly what: "server down"; readonly ms: number }
  | { readonly what: "server paused"; readonly ms: number }
  | { readonly what: "clock"; readonly process: number; readonly ms: number }
  | { readonly what: "stop"; readonly process: number; readonly ms: number }
  | { readonly what: "kill"; readonly process: number }
  | { readonly what: "serializer fails"; readonly process: number }
);

/** A run. */
export interface Plan {
  /** Of the schedule: latencies, and how long actors think. */
  readonly seed: number;
  readonly processes: number;
  readonly variant: Variant;
  readonly actors: readonly Actor[];
  readonly troubles: readonly Trouble[];
}

/** The stores' `timeout` in all runs, in ms. */
export const TIMEOUT = 100;
/** The idle timeout, in seconds as the option has it. */
export const TTL = 6;
export const USERS = ["ada", "bob"];

/** The plain options that nobody has to think about. */
export const PLAIN: Variant = {
  rolling: true,
  absolute: false,
  touchAfter: 60,
  conflict: "merge",
  users: false,
  limit: undefined,
  rejects: false,
  cache: false,
  serializer: "json",
  native: false,
  endings: false,
  sealed: false,
  disableTTL: false,
  disableTouch: false,
  requireNewId: false,
};
