// One write of a session as the index of its user sees it.
import { performance } from "node:perf_hooks";
import { isInDoubt } from "../client/index.js";
import type { Loaded } from "../session/index.js";
import type { Entry, Known } from "./entries.js";

/** What became of an entry. */
export interface Entered {
  /** `undefined` where none was made for a session of which it was not known whether it is there. */
  readonly entry: Entry | undefined;
  /** Whether the session keeps its place. */
  readonly isKept: boolean;
}

/** What one write needs of the index. */
export interface Registry {
  /** Whether what is sent first is also executed first. */
  readonly isOrdered: boolean;
  /** How much longer than its session an entry lives, in ms. */
  readonly grace: number;
  /**
   * Asks for a place before the write, if users have to; the entry where one was taken.
   *
   * @param expires - when the session would end; `undefined`: that is not known yet
   * @throws ERR_TOO_MANY_SESSIONS
   */
  admit(user: string, sid: string, expires: number | null | undefined): Promise<Entry | undefined>;
  /** Notes that a session was written or renewed, and makes room for it. */
  enter(user: string, sid: string, expires: number | null, known: Known): Promise<Entered>;
  /** Notes that a session was perhaps written, or will be. Never fails. */
  expect(user: string, sid: string, expires: number | null, isNew: boolean): Promise<void>;
  /** A session's expiry is to be written again: its index may have missed the last time. */
  renewAgain(sid: string): void;
  /** Looks, a while later, whether a session that was perhaps written needs an entry. */
  lookLater(sid: string): void;
  /** Drops an entry that nobody has changed since. */
  forget(user: string, entry: Entry): Promise<void>;
  /** The same, unless the session is this user's. */
  release(user: string, entry: Entry): Promise<void>;
  /** Drops the entry of a session that is no longer this user's, unless by now it is again. */
  disown(user: string, sid: string): Promise<void>;
}

/** What the index was told while the session itself was being written. */
interface Told {
  readonly user: string;
  readonly expires: number | null;
  /** When, on the monotonic clock. */
  readonly at: number;
  readonly entered: Promise<Entered>;
}

/**
 * One write or renewal of a session as its user's index sees it. What becomes of the entry:
 *
 * | the write | the entry |
 * |---|---|
 * | begins | under `"reject"` a place is taken, for as long as the session would live |
 * | is sent | is renewed along with it, or made along with a first one, where it cannot come before a session that is this user's; again where that command stored nothing and another one did |
 * | is done | is written if it was not; the one of the user before is dropped |
 * | finds no session, or another user's | is taken back, if nobody has changed it since and the session is not this user's |
 * | is refused by Redis | stays, but for the place |
 * | has no answer | says that the session is perhaps coming, for as long as it would live; and again with the next renewal. The user before keeps theirs: one too many does no harm |
 */
export class Membership {
  readonly #index: Registry;
  readonly #sid: string;
  /** Whose session the object says it is. */
  readonly #own: string | undefined;
  /** Whose session is stored in the end. */
  #user: string | undefined;
  #before: string | undefined;
  readonly #doubted = new Set<string | undefined>();
  #isNew = false;
  /** `undefined` where nobody has said it yet. */
  #expires: number | null | undefined;
  #told: Told | undefined;
  /** Whether another command was sent after the one that the index was told of. */
  #isSentAgain = false;

  /** @param expires - when the session would end, as far as that is known before it is written */
  constructor(
    index: Registry,
    sid: string,
    user: string | undefined,
    expires: number | null | undefined,
  ) {
    this.#index = index;
    this.#sid = sid;
    this.#own = user;
    this.#user = user;
    this.#expires = expires;
  }

  /**
   * Does the write, with everything that the index needs around it.
   *
   * @param loaded - what is known of the session; its user is noted there
   * @param write - answers whether the session is stored; tells of each command by `sent`
   * @returns whether the session is stored, and has not had to make room for others
   * @throws ERR_TOO_MANY_SESSIONS, and then nothing was written
   */
  async around(loaded: Loaded | undefined, write: () => Promise<boolean>): Promise<boolean> {
    this.#before = loaded?.user;
    // A new one in doubt may be there already, and have had to make room since.
    this.#isNew = loaded?.held === undefined && !loaded?.unanswered.length;
    // Writes without an answer may have made it these users', each with an entry.
    for (const { user } of loaded?.unanswered ?? []) this.#doubted.add(user);
    const place = await this.#takePlace();
    let isStored: boolean;
    try {
      isStored = await write();
    } catch (error) {
      if (isInDoubt(error)) await this.#perhaps();
      // What was there before the write is there still, and so is its entry.
      else await this.#giveBack(place).catch(() => {});
      throw error;
    }
    // A renewal does not tell what becomes of a write that has no answer: its user's entry stays.
    if (loaded?.unanswered.length) this.#doubted.clear();
    // What became of somebody else's session is nothing that this object knows of itself.
    if (isStored && loaded !== undefined && this.#user === this.#own) loaded.user = this.#user;
    try {
      if (isStored) return await this.#stored();
      await this.#giveBack(place);
      await this.#takeBack();
      return false;
    } catch (error) {
      // The session is stored and its entry perhaps is not.
      if (isStored) await this.#perhaps();
      throw error;
    }
  }

  /** The command that makes the session live until `expires` was just sent. `null`: for ever. */
  sent(expires: number | null): void {
    this.#expires = expires;
    const user = this.#user;
    this.#isSentAgain = this.#told !== undefined;
    // An entry that comes before its session may be taken for a dead one and dropped.
    const isLater = user === this.#before || (this.#isNew && this.#index.isOrdered);
    if (user === undefined || this.#told !== undefined || !isLater) return;
    const entered = this.#index.enter(user, this.#sid, expires, this.#isNew ? "new" : "sent");
    // It may fail before it is waited for, or the write may fail and nobody waits.
    entered.catch(() => {});
    this.#told = { user, expires, at: performance.now(), entered };
  }

  /** The session was there, is stored, and lives on until `expires`. `null`: for ever. */
  kept(expires: number | null): void {
    this.#isNew = false;
    this.sent(expires);
  }

  /** What is stored in the end is a session of another user than the object says. */
  belongsTo(user: string | undefined): void {
    this.#user = user;
  }

  async #takePlace(): Promise<Entry | undefined> {
    const user = this.#own;
    if (user === undefined || user === this.#before) return undefined;
    return this.#index.admit(user, this.#sid, this.#expires);
  }

  /** Whether the session, which is stored, keeps its place. */
  async #stored(): Promise<boolean> {
    const told = this.#told;
    const user = this.#user;
    const waited = told === undefined ? 0 : performance.now() - told.at;
    // The process may have stood still: the session was given its life later than its entry.
    const isLate = waited > this.#index.grace;
    if (isLate && this.#expires) this.#expires += Math.ceil(waited);
    const first = await told?.entered;
    // It had to make room when the index was told of it, and is ended.
    const isOut = told?.user === user && first?.isKept === false;
    // Where the first command stored nothing, its entry may have been taken for a dead one.
    const isEntered =
      told?.user === user && told?.expires === this.#expires && !this.#isSentAgain && first?.entry;
    const work: Promise<unknown>[] = [];
    if (told !== undefined && told.user !== user) work.push(this.#takeBack());
    for (const other of this.#doubted.add(this.#before)) {
      if (other !== undefined && other !== user && other !== told?.user) {
        work.push(this.#index.disown(other, this.#sid));
      }
    }
    const isDone = isOut || isEntered;
    const [last] = await Promise.all([isDone ? first : this.#enter(user), ...work]);
    return last?.isKept !== false;
  }

  /** Drops the place that this write has taken. */
  async #giveBack(place: Entry | undefined): Promise<void> {
    if (place !== undefined) await this.#index.forget(this.#own as string, place);
  }

  /** Drops what was entered along with this write. */
  async #takeBack(): Promise<void> {
    if (this.#told === undefined) return;
    const { user, entered } = this.#told;
    // Another process may have stored the session, and entered it just before.
    const { entry } = await entered;
    if (entry !== undefined) await this.#index.release(user, entry);
  }

  /** Makes sure that a session is listed which is stored, or may be. */
  async #perhaps(): Promise<void> {
    this.#index.renewAgain(this.#sid);
    if (this.#user === undefined) return;
    // What keeps its life does not know when it ends.
    if (this.#expires === undefined) this.#index.lookLater(this.#sid);
    else {
      // Who has had to make room since the index was told of it gets no place back.
      const isNew = this.#isNew && this.#told === undefined;
      await this.#index.expect(this.#user, this.#sid, this.#expires, isNew);
    }
  }

  /** Enters a session that is stored; one without a user, or that is gone again, needs no entry. */
  async #enter(user: string | undefined): Promise<Entered | undefined> {
    if (user === undefined || this.#expires === undefined) return undefined;
    return this.#index.enter(user, this.#sid, this.#expires, this.#isNew ? "new" : "there");
  }
}
