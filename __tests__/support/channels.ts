import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { EventMessage, OperationMessage } from "../../lib/index.js";

const OPERATIONS = ["get", "set", "touch", "destroy"] as const;
const PHASES = ["start", "end", "asyncStart", "asyncEnd", "error"] as const;

type Told = [phase: string, message: OperationMessage];

/** What the channels of all stores in this process tell. */
export interface Channels {
  /** `get:start`, …, oldest first. */
  readonly told: Told[];
  readonly events: EventMessage[];
  /** How the operations since it was last asked have ended: each its name and outcome. */
  outcomes(): string[];
  /** The message of the operation that was last told of. */
  readonly last: OperationMessage;
  stop(): void;
}

/** Listens to every channel. */
export function listen(): Channels {
  const told: Told[] = [];
  const events: EventMessage[] = [];
  const stops: (() => void)[] = [];
  const hear = (name: string, listener: (message: unknown) => void) => {
    subscribe(name, listener);
    stops.push(() => unsubscribe(name, listener));
  };
  for (const operation of OPERATIONS) {
    for (const phase of PHASES) {
      hear(`tracing:redis-session-store:${operation}:${phase}`, (message) => {
        told.push([`${operation}:${phase}`, message as OperationMessage]);
      });
    }
  }
  hear("redis-session-store:event", (message) => events.push(message as EventMessage));
  let asked = 0;
  return {
    told,
    events,
    outcomes() {
      const over = new Set<OperationMessage>();
      for (const [, message] of told.slice(asked)) {
        if (message.outcome !== undefined) over.add(message);
      }
      asked = told.length;
      return [...over].map(({ operation, outcome }) => `${operation} ${outcome}`);
    },
    get last() {
      return (told.at(-1) as Told)[1];
    },
    stop() {
      for (const stop of stops) stop();
    },
  };
}

/** Everything that can be read in an object, at any depth: of properties, accessors and prototypes. */
export function everythingIn(object: unknown): unknown[] {
  const found: unknown[] = [];
  const seen = new Set<unknown>();
  const walk = (value: unknown): void => {
    if ((typeof value !== "object" && typeof value !== "function") || value === null) {
      found.push(value);
      return;
    }
    // What a function does is no property of it.
    if (seen.has(value) || typeof value === "function") return;
    seen.add(value);
    for (let level: unknown = value; level !== null; level = Object.getPrototypeOf(level)) {
      // The end of the chain: of objects of any realm.
      if (level !== value && Object.getPrototypeOf(level) === null) break;
      for (const key of Reflect.ownKeys(level as object)) {
        found.push(key);
        if (key !== "constructor") walk(Reflect.get(level as object, key, value));
      }
    }
    if (value instanceof Map || value instanceof Set) for (const item of value) walk(item);
  };
  walk(object);
  return found;
}
