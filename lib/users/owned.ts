// Looks at the sessions that an index names, and ends those that are its user's.
import { createHash } from "node:crypto";
import { performance } from "node:perf_hooks";
import { StoreError } from "../base/index.js";
import { type Port, readMany } from "../client/index.js";
import type { Ending, Endings } from "../endings/index.js";
import type { Settings } from "../options.js";
import {
  hasDeadline,
  isOver,
  type Records,
  type Renewals,
  type Rows,
  type SessionRecord,
  type Stored,
  shortSid,
  type Value,
} from "../session/index.js";
import { REMOVE_SEEN } from "./scripts.js";

/** What looking at sessions needs of the store around it. */
export interface OwnedContext {
  readonly port: Port;
  readonly settings: Settings;
  readonly records: Records;
  readonly renewals: Renewals;
  readonly endings: Endings;
  readonly rows: Rows;
}

/** What was found under a session id that was looked at for a user. */
export type Seen<Item> = { readonly item: Item; readonly sid: string } & (
  | ({ readonly kind: "own" } & Stored)
  /** Nothing, a session that is over, or somebody else's. */
  | { readonly kind: "gone" }
  /** What is there and counts as missing: it was sealed by nobody, or under a key that is revoked. */
  | { readonly kind: "refused" }
  | { readonly kind: "unreadable"; readonly error: unknown }
);

/** Ids in batches, as they are found. */
export type Batches<Item> = AsyncIterable<Item[]> | Iterable<Item[]>;

/** How often a session that keeps changing while it is being ended is looked at again. */
const ROUNDS = 100;

/** Looks at sessions, and ends those that are a user's. */
export class Owned {
  readonly #context: OwnedContext;
  readonly #userOf: (session: object) => string | undefined;
  readonly #dated: boolean;

  /** @param userOf - whose a stored session is; `undefined` also where that cannot be told */
  constructor(context: OwnedContext, userOf: (session: object) => string | undefined) {
    this.#context = context;
    this.#userOf = userOf;
    this.#dated = hasDeadline(context.settings.rules);
  }

  /**
   * What is there of sessions, in groups of a bounded size.
   *
   * @param patience - for how long nothing may come before it fails, in ms
   */
  async *look<Item extends { readonly sid: string }>(
    user: string,
    batches: Batches<Item>,
    patience: number,
  ): AsyncGenerator<Seen<Item>[]> {
    const { port, settings, records } = this.#context;
    const keyOf = ({ sid }: Item) => settings.prefix + sid;
    for await (const group of readMany({ port, batches, keyOf, patience, measures: true })) {
      yield await Promise.all(
        group.map(async ({ item, value, left }): Promise<Seen<Item>> => {
          const { sid } = item;
          if (value === null) return { item, sid, kind: "gone" };
          if (records.refusalOf(value) !== undefined) return { item, sid, kind: "refused" };
          let record: SessionRecord | null;
          try {
            record = await this.#read(sid, value);
          } catch (error) {
            return { item, sid, kind: "unreadable", error };
          }
          if (record === null || this.#userOf(record.session) !== user) {
            return { item, sid, kind: "gone" };
          }
          return { item, sid, kind: "own", value, record, left };
        }),
      );
    }
  }

  /**
   * Ends those sessions that are the user's, and with `unreadable` what cannot be read as anybody's.
   *
   * @param ended - told of what is not there, or not this user's, any more
   * @returns how many there were
   * @throws ERR_CONFLICT where one kept changing for `timeout`
   */
  async end<Item extends { readonly sid: string }>(
    user: string,
    batches: Batches<Item>,
    ending: Ending,
    patience: number,
    { unreadable = false, onUnreadable, ended }: EndOptions<Item> = {},
  ): Promise<number> {
    const { timeout } = this.#context.settings;
    let removed = 0;
    for await (const group of this.look(user, batches, patience)) {
      let seen = group;
      const until = performance.now() + timeout;
      for (let round = 1; seen.length > 0; round++) {
        for (const one of seen) if (one.kind === "unreadable") onUnreadable?.(one.sid, one.error);
        const outcomes = await Promise.all(
          seen.map((one) => this.#remove(one, ending, unreadable)),
        );
        removed += outcomes.filter((outcome) => outcome === 1).length;
        const items = seen.map(({ item }) => item);
        await ended?.(items.filter((_, n) => (outcomes[n] ?? 0) < CHANGED));
        const again = items.filter((_, n) => outcomes[n] === CHANGED);
        const [first] = again;
        if (first === undefined) break;
        if (round === ROUNDS || performance.now() >= until) throw busy(first.sid, timeout);
        seen = [];
        for await (const more of this.look(user, [again], patience)) seen.push(...more);
      }
    }
    return removed;
  }

  /** Whose session a stored one is; `undefined` also where that cannot be told. */
  async ownerOf(sid: string, value: Value): Promise<string | undefined> {
    const record = await this.#read(sid, value).catch(() => null);
    return record === null ? undefined : this.#userOf(record.session);
  }

  /** A stored session, or `null` where it is over or counts as missing. */
  async #read(sid: string, value: Value): Promise<SessionRecord | null> {
    const { records, settings } = this.#context;
    const record = await records.read(value, sid);
    if (record === null) return null;
    const { session, created } = record;
    const now = Date.now();
    const isDead = this.#dated && isOver(settings.rules, session, sid, created ?? now, now);
    return isDead ? null : record;
  }

  /** 1: removed, 0: there is nothing to remove, else `CHANGED` or `KEPT`. */
  async #remove<Item>(seen: Seen<Item>, ending: Ending, unreadable: boolean): Promise<number> {
    const { port, settings, renewals, endings } = this.#context;
    const { sid, kind } = seen;
    const key = settings.prefix + sid;
    if (kind === "gone") return 0;
    if (kind !== "own" && !unreadable) return KEPT;
    let outcome = 0;
    const remove = async () => {
      outcome = kind === "own" ? await this.#removeSeen(seen) : await port.remove(key);
      return outcome === CHANGED ? null : outcome;
    };
    try {
      await endings.end([sid], ending, remove);
    } finally {
      renewals.end(sid);
    }
    return outcome;
  }

  async #removeSeen({ sid, value }: Stored): Promise<number> {
    const { port, settings } = this.#context;
    const digest = createHash("sha1").update(value).digest("hex");
    return Number(await port.run(REMOVE_SEEN, settings.prefix + sid, [digest]));
  }
}

/** What is ended beside the user's sessions, and who is told. */
export interface EndOptions<Item> {
  readonly unreadable?: boolean;
  /** Told of what cannot be read, as often as it is looked at. */
  readonly onUnreadable?: (sid: string, error: unknown) => void;
  readonly ended?: (items: Item[]) => Promise<void>;
}

/** What REMOVE_SEEN answers for a session that has changed since it was looked at. */
const CHANGED = 2;
/** A value that is left alone. */
const KEPT = 3;

function busy(sid: string, timeout: number): StoreError {
  const message = `session ${shortSid(sid)} kept being changed for ${timeout} ms and was not ended; the others of this group were: try again`;
  return new StoreError("ERR_CONFLICT", message);
}
