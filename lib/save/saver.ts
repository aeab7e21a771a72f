// Finds out what kind of write a save is, and gives it its turn.
import {
  type CookieSettings,
  expiresOf,
  hasDeadline,
  type Inflate,
  isRedated,
  type Lifetime,
  type Loaded,
  lifetime,
  settingsOf,
  type Value,
  Versions,
} from "../session/index.js";
import { Conflicts } from "./conflict.js";
import { fixationError, isFixation } from "./fixation.js";
import { Turns } from "./turns.js";
import { noteSaved, type SaveResult, type Step, Writer, type WriterContext } from "./writer.js";

/** What the saver needs of the store around it. */
export interface SaverContext extends WriterContext {
  readonly inflate: Inflate;
  /** Told of each login under the id that the session had before, whether it is refused or not. */
  onFixation(sid: string): void;
}

/**
 * Saves sessions, one after the other where they are the same: takes what the object is at the time
 * of the call, and finds out what kind of write that is.
 */
export class Saver {
  readonly #turns: Turns;
  readonly #context: SaverContext;
  readonly #versions: Versions;
  readonly #writer: Writer;

  constructor(context: SaverContext) {
    const { settings, records, inflate } = context;
    this.#context = context;
    this.#turns = new Turns(settings.timeout);
    this.#versions = new Versions(records, inflate);
    this.#writer = new Writer(context, new Conflicts(settings, records, this.#versions));
  }

  /** Writes an object that the store does not know, whatever Redis holds. */
  async create(sid: string, session: object): Promise<SaveResult> {
    const { records, settings, index } = this.#context;
    const now = Date.now();
    const life = lifetime(settings.rules, session, sid, now, now, false);
    const user = index?.userOf(session);
    const text = records.write(session, hasDeadline(settings.rules) ? now : undefined);
    const order = { sid, loaded: undefined, user: () => user };
    return this.#inTurn(order, text, (value, step) => this.#writer.set(sid, value, life, step));
  }

  /** Saves an object that the store handed out, or is about to save for the first time. */
  async save(loaded: Loaded, session: object): Promise<SaveResult> {
    const { sid, created, stamp, hidden } = loaded;
    const { records, settings, index } = this.#context;
    const redated = isRedated(loaded, session);
    const expires = expiresOf(session);
    const life = lifetime(settings.rules, session, sid, created, Date.now(), !redated);
    const { cookie } = session as { cookie?: CookieSettings };
    const saved = cookie && settingsOf(cookie);
    const user = index?.userOf(session);
    const fixated = isFixation(loaded, user);
    if (fixated && settings.users?.needsNewId) {
      this.#context.onFixation(sid);
      throw fixationError(sid);
    }
    const text = records.write(session, stamp, hidden);
    const order = { sid, loaded, user: () => user };
    return this.#inTurn(order, text, async (value, step) => {
      const result = await this.#write(loaded, value, life, redated, step);
      if (result !== "GONE") Object.assign(loaded, { cookie: saved, expires });
      if (fixated && result !== "GONE") this.#context.onFixation(sid);
      return result;
    });
  }

  /** Saves nothing of a loaded object but its cookie. */
  async saveCookie(loaded: Loaded, cookie: CookieSettings | undefined): Promise<SaveResult> {
    const { sid, created, stamp, hidden } = loaded;
    const { records, settings } = this.#context;
    const expires = expiresOf({ cookie });
    const saved = cookie && settingsOf(cookie);
    const text = records.write({ cookie });
    const order = { sid, loaded, user: () => loaded.user };
    return this.#inTurn(order, text, async (value, step) => {
      // Not before: a save of this object that was under way has changed what is known of it, and
      // may have stored this very cookie.
      const redated = isRedated(loaded, { cookie: { expires } });
      const { session } = await this.#versions.stored(loaded.ancestor as Value, loaded);
      const { session: only } = await records.read(value, sid);
      if (cookie !== undefined) session.cookie = only.cookie;
      const life = lifetime(settings.rules, session, sid, created, Date.now(), !redated);
      const own = await records.write(session, stamp, hidden);
      const result = await this.#write(loaded, own, life, redated, step);
      if (result !== "GONE") Object.assign(loaded, { cookie: saved, expires });
      return result;
    });
  }

  /** Removes a session; how many were there. */
  destroy(sid: string): Promise<number> {
    return this.#turns.take(sid, (turn) => {
      turn.latest = undefined;
      return this.#writer.remove(sid);
    });
  }

  /** Waits for the saves of a session that are under way in this process. */
  settled(sid: string): Promise<void> {
    return this.#turns.take(sid, async () => {});
  }

  /** Renews a loaded session; `false` where there is none. */
  async renew(loaded: Loaded, life: Lifetime): Promise<boolean> {
    const entry = this.#context.index?.open(loaded.sid, loaded.user);
    const renew = async () =>
      (await this.#writer.renew(loaded, loaded.expected as Value, life, entry)) !== null;
    return entry === undefined ? renew() : entry.around(loaded, renew);
  }

  /**
   * Runs `write` in the session's turn, and has the index follow it. The turn is taken before the
   * text is there, so that saves and a logout keep the order in which the app asked for them.
   */
  #inTurn(
    { sid, loaded, user }: Order,
    text: Promise<Value>,
    write: (value: Value, step: Step) => Promise<SaveResult>,
  ): Promise<SaveResult> {
    // It may fail before its turn has come; the turn reports it.
    text.catch(() => {});
    return this.#turns.take(sid, async (turn) => {
      const value = await text;
      const entry = this.#context.index?.open(sid, user());
      if (entry === undefined) return write(value, { turn, entry });
      let result: SaveResult = "GONE";
      const isThere = await entry.around(loaded, async () => {
        result = await write(value, { turn, entry });
        return result !== "GONE";
      });
      return isThere || result === "GONE" ? result : this.#writer.discard(sid, "missing", turn);
    });
  }

  /** @param redated - whether the app has set the expiry by hand, which counts as a change */
  async #write(
    loaded: Loaded,
    own: Value,
    life: Lifetime,
    redated: boolean,
    step: Step,
  ): Promise<SaveResult> {
    const writer = this.#writer;
    const { sid, expected } = loaded;
    if (expected === undefined) {
      const result = await writer.set(sid, own, life, step);
      if (result === "OK") noteSaved(loaded, own, own);
      return result;
    }
    const isPlain = !redated && !writer.isOver(life);
    if (isPlain && !(await this.#versions.isChanged(loaded, own))) {
      const held = await writer.renew(loaded, step.turn.latest ?? expected, life, step.entry);
      if (held === null) return writer.discard(sid, "missing", step.turn);
      step.turn.latest = held;
      return "OK";
    }
    return this.#context.settings.conflict === "overwrite"
      ? writer.overwrite(loaded, own, life, step)
      : writer.compareAndSet(loaded, own, life, step);
  }
}

/** Which session is to be written, and for whom. */
interface Order {
  readonly sid: string;
  readonly loaded: Loaded | undefined;
  /** Whose session it is to be, asked when the turn has come. */
  readonly user: () => string | undefined;
}
