// One write of a session as the index of its user sees it.
import type { Loaded } from "../session/index.js";

/** What one write needs of the index. */
export interface Registry {
  /** Whether what is sent first is also executed first. */
  readonly isOrdered: boolean;
  /** Asks for a place, if users have to; whether one was taken. */
  admit(user: string, sid: string): Promise<boolean>;
  /** Notes that a session was written or renewed; whether it keeps its place. */
  written(user: string, sid: string, expires: number | null, isNew: boolean): Promise<boolean>;
  /** Drops an entry; a place that was only taken, if `isComing`. */
  forget(user: string, sid: string, isComing?: boolean): Promise<void>;
  /** A session's expiry is to be written again: its index may have missed the last time. */
  renewAgain(sid: string): void;
}

/** What the index was told while the session itself was being written. */
interface Told {
  readonly user: string;
  readonly expires: number | null;
  /** Whether the session keeps its place. */
  readonly kept: Promise<boolean>;
}

/**
 * One write or renewal of a session as its user's index sees it. The index is told at the same time
 * as the session is written, except where the order matters: an entry must not come before the
 * session that it names is stored and this user's.
 */
export class Membership {
  readonly #index: Registry;
  readonly #sid: string;
  #user: string | undefined;
  #before: string | undefined;
  #isNew = false;
  #expires: number | null = null;
  #told: Told | undefined;

  constructor(index: Registry, sid: string, user: string | undefined) {
    this.#index = index;
    this.#sid = sid;
    this.#user = user;
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
    this.#isNew = loaded?.held === undefined;
    const user = this.#user;
    const mustAsk = user !== undefined && user !== this.#before;
    const isComing = mustAsk && (await this.#index.admit(user, this.#sid));
    const isStored = await write();
    if (isStored && loaded !== undefined) loaded.user = this.#user;
    try {
      if (isComing && !isStored) await this.#index.forget(user, this.#sid, true);
      return await this.#settle(isStored);
    } catch (error) {
      // The session is stored and its entry perhaps is not: the next renewal must not be skipped.
      this.#index.renewAgain(this.#sid);
      throw error;
    }
  }

  /** The command that makes the session live until `expires` was just sent. `null`: for ever. */
  sent(expires: number | null): void {
    this.#expires = expires;
    const isOwn = this.#user === this.#before || (this.#isNew && this.#index.isOrdered);
    if (this.#user === undefined || this.#told !== undefined || !isOwn) return;
    const kept = this.#written(this.#user);
    // It may fail before it is waited for, or the write may fail and nobody waits.
    kept.catch(() => {});
    this.#told = { user: this.#user, expires, kept };
  }

  /** What is stored in the end is a session of another user than the object says. */
  belongsTo(user: string | undefined): void {
    this.#user = user;
  }

  async #settle(isStored: boolean): Promise<boolean> {
    const told = this.#told;
    let isKept = isStored;
    if (told !== undefined && !(await told.kept)) isKept = false;
    const user = isStored ? this.#user : undefined;
    const others = new Set([this.#before, told?.user]);
    others.delete(user);
    const work: Promise<unknown>[] = [];
    if (user !== undefined && (told?.user !== user || told.expires !== this.#expires)) {
      const written = this.#written(user).then((kept) => {
        if (!kept) isKept = false;
      });
      work.push(written);
    }
    for (const other of others) {
      if (other !== undefined) work.push(this.#index.forget(other, this.#sid));
    }
    await Promise.all(work);
    return isKept;
  }

  #written(user: string): Promise<boolean> {
    return this.#index.written(user, this.#sid, this.#expires, this.#isNew);
  }
}
