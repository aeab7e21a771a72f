// Finds out what kind of write a save is, and gives it its turn.
import { isSilence, type Report } from "../base/index.js";
import { Later } from "../client/index.js";
import type { Ending } from "../endings/index.js";
import {
  type CookieSeen,
  cookieOf,
  cookieSeen,
  type Held,
  hasDeadline,
  type Inflate,
  isRedated,
  type Lifetime,
  type Listed,
  type Loaded,
  lifetime,
  NONE,
  type Tree,
  type Value,
  Versions,
} from "../session/index.js";
import { Conflicts } from "./conflict.js";
import { Doubts } from "./doubts.js";
import { fixationError, isFixation } from "./fixation.js";
import type { SaveResult, Step, Wish, WriterContext } from "./step.js";
import { Turns } from "./turns.js";
import { Writer } from "./writer.js";

/** What the saver needs of the store around it. */
export interface SaverContext extends WriterContext {
  readonly inflate: Inflate;
  /** Told of each login under the id that the session had before, whether it is refused or not. */
  onFixation(sid: string): void;
}

/** For so many times `timeout` a write may be under way that got no answer. */
const LATEST = 3;

/**
 * Saves sessions, one after the other where they are the same: takes what the object is at the time
 * of the call, and finds out what kind of write that is.
 */
export class Saver {
  readonly #turns: Turns;
  readonly #context: SaverContext;
  readonly #versions: Versions;
  readonly #doubts: Doubts;
  readonly #writer: Writer;
  /**
   * The sessions that the app has ended and that may still be there. Until they are certainly gone,
   * nothing of this process writes or renews them.
   */
  readonly #doomed = new Later();
  /** New sessions that were ended, and that a write without an answer may still make anew. */
  readonly #revenants: Later;

  constructor(context: SaverContext) {
    const { settings, records, renewals, inflate } = context;
    this.#context = context;
    this.#turns = new Turns(settings.timeout);
    this.#revenants = new Later(LATEST * settings.timeout);
    this.#versions = new Versions(records, inflate);
    const conflicts = new Conflicts(settings, records, this.#versions);
    this.#doubts = new Doubts(this.#versions, renewals);
    this.#writer = new Writer({ ...context, conflicts, doubts: this.#doubts });
  }

  /**
   * Writes an object that the store does not know, whatever Redis holds.
   *
   * @throws at once where the object cannot be stored, as the other saves do
   */
  create(sid: string, session: object, report?: Report): Promise<SaveResult> {
    const { records, settings, index } = this.#context;
    const now = Date.now();
    const life = lifetime(settings.rules, session, sid, now, now, false);
    const user = index?.userOf(session);
    const created = hasDeadline(settings.rules) ? now : undefined;
    const text = records.write(session, { created });
    const order = { sid, loaded: undefined, user: () => user, expires: this.#endOf(life), report };
    return this.#inTurn(order, text, (plain, step) => {
      this.#begin(sid);
      return this.#writer.set(sid, plain, life, step);
    });
  }

  /** Writes a row of `all()`. */
  saveListed(listed: Listed, session: object, report?: Report): Promise<SaveResult> {
    const { sid, created, mark, hasId, keyId } = listed;
    const { records, index } = this.#context;
    const { id, ...rest } = session as Tree;
    const row = hasId && id === sid ? rest : session;
    const user = index?.userOf(row);
    const text = records.write(row, { created, mark });
    const order = { sid, loaded: undefined, user: () => user, report };
    return this.#inTurn(order, text, async (plain, step) => {
      if (this.#doomed.has(sid)) return this.#writer.discard(sid, "missing", step);
      // It would be sealed anew.
      const refusal = records.refusalUnder(keyId);
      if (refusal !== undefined) return this.#writer.discard(sid, refusal, step);
      return this.#writer.setListed(sid, plain, step);
    });
  }

  /** Saves an object that the store handed out, or is about to save for the first time. */
  save(loaded: Loaded, session: object, report?: Report): Promise<SaveResult> {
    const { sid, created, stamp, hidden, mark } = loaded;
    const { records, settings, index } = this.#context;
    const seen = cookieSeen(session);
    const now = Date.now();
    const inUse = lifetime(settings.rules, session, sid, created, now, true);
    // By the date that the app has set, should it turn out to be one that was not saved before.
    const dated = loaded.inflated
      ? inUse
      : lifetime(settings.rules, session, sid, created, now, false);
    const user = index?.userOf(session);
    const fixated = isFixation(loaded, user);
    if (fixated && settings.users?.needsNewId) {
      this.#context.onFixation(sid);
      throw fixationError(sid);
    }
    const text = records.write(session, { created: stamp, hidden, mark });
    const order = { sid, loaded, user: () => user, expires: this.#endOf(inUse), report };
    return this.#inTurn(order, text, async (plain, step) => {
      // Not before: a save of this object that was under way may have stored this very date.
      const redated = isRedated(loaded, seen.expires);
      const wish: Wish = {
        own: () => plain,
        life: this.#keepsLife(loaded, seen) ? undefined : redated ? dated : inUse,
        isRedated: redated,
        user,
      };
      const result = await this.#write(loaded, wish, step);
      if (result !== "GONE") loaded.cookie = seen;
      if (fixated && result !== "GONE") this.#context.onFixation(sid);
      return result;
    });
  }

  /** The cookie of a session as it is now. */
  takeCookie(session: object): CookieTaken {
    const cookie = cookieOf(session);
    const text = new Promise<Value>((resolve) => {
      resolve(this.#context.records.write({ cookie }));
    });
    text.catch(() => {});
    return { seen: cookieSeen(session), text };
  }

  /** Saves nothing of a loaded object but its cookie. */
  async saveCookie(loaded: Loaded, taken: CookieTaken, report?: Report): Promise<SaveResult> {
    const { seen, text } = taken;
    const { sid, created, stamp, hidden } = loaded;
    const { records, settings } = this.#context;
    const order = { sid, loaded, user: () => loaded.user, report };
    return this.#inTurn(order, text, async (value, step) => {
      // Not before: a save of this object that was under way has changed what is known of it, and
      // may have stored this very cookie.
      const redated = isRedated(loaded, seen.expires);
      const { session: only } = await records.parse(value, sid);
      const withCookie = async (base: Held | undefined): Promise<Tree> => {
        const { session } = await this.#versions.of(base?.own, loaded);
        if (seen.settings !== undefined) session.cookie = only.cookie;
        return session;
      };
      const session = await withCookie(loaded.held);
      const life = lifetime(settings.rules, session, sid, created, Date.now(), !redated);
      const wish: Wish = {
        own: async (base) => {
          const { mark } = loaded;
          return records.write(await withCookie(base), { created: stamp, hidden, mark });
        },
        life: this.#keepsLife(loaded, seen) ? undefined : life,
        isRedated: redated,
        // A write without an answer may turn out to have made it another user's.
        get user() {
          return loaded.user;
        },
      };
      const result = await this.#write(loaded, wish, step);
      if (result !== "GONE") loaded.cookie = seen;
      return result;
    });
  }

  /**
   * Removes a session; how many were there.
   *
   * @param ending - why, where somebody ends it on purpose
   */
  destroy(sid: string, ending?: Ending, report?: Report): Promise<number> {
    let hasBegun = false;
    const removed = this.#turns.take(sid, async (turn) => {
      hasBegun = true;
      turn.latest = undefined;
      report?.asked();
      try {
        const count = await this.#writer.remove(sid, ending);
        this.#doomed.delete(sid);
        this.#layToRest(sid, this.#doubts.ended(sid));
        return count;
      } catch (error) {
        if (isSilence(error)) this.#doom(sid, ending);
        throw error;
      }
    });
    removed.catch((error) => {
      // Those before it got no answer, and it was not even sent.
      if (!hasBegun && isSilence(error)) this.#doom(sid, ending);
    });
    return removed;
  }

  /** Remembers a session that the app has ended and that may still be there. */
  #doom(sid: string, ending: Ending | undefined): void {
    const texts = this.#doubts.ended(sid);
    this.#doomed.add(sid, async () => {
      await this.#removeAgain(sid, ending);
      this.#layToRest(sid, texts);
    });
  }

  /** The app stores a session anew: it takes back that what was there before was ended. */
  #begin(sid: string): void {
    this.#doomed.delete(sid);
    this.#revenants.delete(sid);
  }

  /** Looks later whether a write that got no answer has made a session which is ended. */
  #layToRest(sid: string, texts: readonly string[]): void {
    if (texts.length > 0) this.#revenants.add(sid, () => this.#writer.removeIf(sid, texts));
  }

  /** Whether the app has ended a session of which it is not known that it is gone. */
  isDoomed(sid: string): boolean {
    return this.#doomed.has(sid);
  }

  /** Waits for the saves of a session that are under way in this process. */
  settled(sid: string): Promise<void> {
    return this.#turns.take(sid, async () => {});
  }

  /** Renews a loaded session; `false` where there is none. */
  async renew(loaded: Loaded, held: Held, life: Lifetime, report?: Report): Promise<boolean> {
    if (this.#doomed.has(loaded.sid)) return false;
    const entry = this.#context.index?.open(loaded.sid, loaded.user);
    const step = { entry, report };
    const renew = async () => (await this.#writer.renew(loaded, held, life, step)) !== null;
    return entry === undefined ? renew() : entry.around(loaded, renew);
  }

  /** Removes a session whose removal got no answer, now that Redis may answer again. */
  async #removeAgain(sid: string, ending: Ending | undefined): Promise<void> {
    const { port, settings, endings } = this.#context;
    // A question first: to remove twice what another process has stored anew would be a loss.
    if ((await port.get(settings.prefix + sid)) === null) {
      // It was removed all the same, and its note perhaps is not there.
      if (ending !== undefined) await endings.end([sid], ending, async () => 0);
      return;
    }
    await this.#turns.take(sid, async (turn) => {
      if (!this.#doomed.has(sid)) return;
      turn.latest = undefined;
      await this.#writer.remove(sid, ending);
    });
  }

  /**
   * Runs `write` in the session's turn, and has the index follow it. The turn is taken before the
   * text is there, so that saves and a logout keep the order in which the app asked for them.
   */
  #inTurn(
    { sid, loaded, user, expires, report }: Order,
    text: Value | Promise<Value>,
    write: (plain: Value, step: Step) => Promise<SaveResult>,
  ): Promise<SaveResult> {
    const { index } = this.#context;
    if (index === undefined && !(text instanceof Promise)) {
      return this.#turns.take(sid, (turn) => write(text, { turn, entry: undefined, report }));
    }
    // It may fail before its turn has come; the turn reports it.
    if (text instanceof Promise) text.catch(() => {});
    return this.#turns.take(sid, async (turn) => {
      const plain = await text;
      const entry = index?.open(sid, user(), expires);
      const step = { turn, entry, report };
      if (entry === undefined) return write(plain, step);
      let result: SaveResult = "GONE";
      const isThere = await entry.around(loaded, async () => {
        result = await write(plain, step);
        return result !== "GONE";
      });
      return isThere || result === "GONE" ? result : this.#writer.discard(sid, "missing", step);
    });
  }

  /** When a session of such a life ends; `null`: never. */
  #endOf(life: Lifetime): number | null {
    return this.#context.settings.disableTTL ? null : life.relaxed;
  }

  /** A row is saved without being used: its key lives on as it is, unless the app has set its end. */
  #keepsLife({ isRow, cookie: before }: Loaded, now: CookieSeen): boolean {
    return (
      isRow &&
      before.expires === now.expires &&
      before.settings?.originalMaxAge === now.settings?.originalMaxAge
    );
  }

  async #write(loaded: Loaded, wish: Wish, step: Step): Promise<SaveResult> {
    const writer = this.#writer;
    const { sid, held } = loaded;
    const isOver = wish.life !== undefined && writer.isOver(wish.life);
    if (held === undefined) {
      // It is generated for this id, so it takes back that what was there before was ended.
      this.#begin(sid);
      if (isOver && loaded.unanswered === NONE) return this.#endNew(sid, step);
    } else {
      if (this.#doomed.has(sid)) return writer.discard(sid, "missing", step);
      const isPlain = !wish.isRedated && !isOver && !loaded.isDoubted;
      if (isPlain) {
        const own = wish.own(held);
        const mine = own instanceof Promise ? await own : own;
        const isChanged = this.#versions.isChanged(held, mine, loaded);
        if (!(isChanged instanceof Promise ? await isChanged : isChanged)) {
          return this.#renewInTurn(loaded, held, wish, step);
        }
      }
    }
    return this.#context.settings.conflict === "overwrite"
      ? writer.overwrite(loaded, wish, step)
      : writer.save(loaded, wish, step);
  }

  /** A save that changes nothing is only a renewal. */
  async #renewInTurn(loaded: Loaded, held: Held, { life }: Wish, step: Step): Promise<SaveResult> {
    const writer = this.#writer;
    const { turn } = step;
    const from = turn.latest ?? held;
    const text = await writer.renew(loaded, from, life, step);
    if (text === null) {
      const refusal = this.#context.records.refusalOf(from.stored);
      return writer.discard(loaded.sid, refusal ?? "missing", step);
    }
    turn.latest = text;
    return "OK";
  }

  async #endNew(sid: string, step: Step): Promise<SaveResult> {
    step.report?.asked();
    await this.#writer.remove(sid);
    return this.#writer.discard(sid, "expired", step);
  }
}

/** The cookie of a session at the time of a call. */
export interface CookieTaken {
  readonly seen: CookieSeen;
  /** A session that has nothing else. */
  readonly text: Promise<Value>;
}

/** Which session is to be written, and for whom. */
interface Order {
  readonly sid: string;
  readonly loaded: Loaded | undefined;
  /** Whose session it is to be, asked when the turn has come. */
  readonly user: () => string | undefined;
  /** When it would end; `null`: never. Left out where it keeps its user. */
  readonly expires?: number | null;
  readonly report: Report | undefined;
}
