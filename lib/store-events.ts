// The events of the store: their types, and how they are told.
import type { EventEmitter } from "node:events";
import { codeOf, type StoreError, Telling } from "./base/index.js";
import type { DiscardReason } from "./save/index.js";
import { handleOf, type MergeReport, shortSid } from "./session/index.js";

/**
 * The events of `RedisStore`, each with its arguments. A session id is shortened: it is a credential.
 */
export interface StoreEventMap {
  /**
   * A save kept what another request had changed, and `overwritten` are the places where this one's
   * change won over the other's. Places are JSON Pointers.
   */
  merged: [sid: string, kept: string[], overwritten: string[]];
  /** A save was not written. */
  discarded: [sid: string, reason: DiscardReason];
  /** A listing left out a value that is no session. */
  corrupt: [sid: string, error: StoreError];
  /** A login was saved, or refused, under the id that the session had while it was nobody's. */
  fixation: [handle: string];
  /** Redis has not answered for longer than `timeout`. */
  down: [];
  /** Redis answers again. */
  up: [];
  /**
   * As `down`, for express-session, under `whenDown: "bypass"`. A client that the legacy entry has made
   * tells by it of each error that it has without a connection.
   */
  disconnect: [error?: Error];
  /** As `up`, for express-session, under `whenDown: "bypass"`. */
  connect: [];
}

/** An event that is the app's own; for one of the store its listener must suit. */
type OfTheApp<Name extends string | symbol> = Name extends keyof StoreEventMap ? never : Name;

/** How to listen to an event of the store, or to one that the app itself emits. */
export interface Listening<Store> {
  <Name extends keyof StoreEventMap>(
    event: Name,
    listener: (...args: StoreEventMap[Name]) => void,
  ): Store;
  <Name extends string | symbol>(
    event: OfTheApp<Name>,
    // It takes every listener: what the app emits, it knows.
    listener: (...args: never[]) => void,
  ): Store;
}

/** What telling needs to know of the store. */
export interface StoreEventsOptions {
  /** What the store is called on the channels. */
  readonly name: string;
  readonly prefix: string;
  /** Whether express-session is told, too, when Redis is down. */
  readonly bypasses: boolean;
}

/**
 * Tells of each event twice: on the diagnostics channel at once, and by the store itself outside of
 * the promise chain, where what a listener throws is not an error of the store.
 */
export class StoreEvents {
  /** Tells on the channels. */
  readonly telling: Telling;
  readonly #store: EventEmitter;
  readonly #options: StoreEventsOptions;
  #isDown = false;

  constructor(store: EventEmitter, options: StoreEventsOptions) {
    this.#store = store;
    this.#options = options;
    this.telling = new Telling(
      options.name,
      // An app may ask for anything.
      (sid) => (typeof sid === "string" ? handleOf(options.prefix, sid) : ""),
      () => !this.#isDown,
    );
    if (!options.bypasses) return;
    // For a session() that is created while Redis is down already.
    store.on("newListener", (event, listener) => {
      if (event === "disconnect" && this.#isDown) process.nextTick(listener);
    });
  }

  readonly merged = (sid: string, { kept, overwritten }: MergeReport): void => {
    const counts = { kept: kept.length, overwritten: overwritten.length };
    this.telling.event("merged", sid, counts);
    this.#emit("merged", shortSid(sid), kept, overwritten);
  };

  readonly discarded = (sid: string, reason: DiscardReason): void => {
    this.telling.event("discarded", sid, { reason });
    this.#emit("discarded", shortSid(sid), reason);
  };

  readonly corrupt = (sid: string, error: StoreError): void => {
    this.telling.event("corrupt", sid, { code: codeOf(error) });
    this.#emit("corrupt", shortSid(sid), error);
  };

  readonly fixation = (sid: string): void => {
    this.telling.event("fixation", sid, {});
    this.#emit("fixation", handleOf(this.#options.prefix, sid));
  };

  readonly health = (isDown: boolean): void => {
    this.#isDown = isDown;
    this.telling.event(isDown ? "down" : "up", undefined, {});
    this.#emit(isDown ? "down" : "up");
    if (this.#options.bypasses) this.#emit(isDown ? "disconnect" : "connect");
  };

  #emit<Name extends keyof StoreEventMap>(event: Name, ...details: StoreEventMap[Name]): void {
    process.nextTick(() => this.#store.emit(event, ...details));
  }
}
