// Renews sessions that were used and not changed.
import type { Port } from "../client/index.js";
import type { Settings } from "../options.js";
import {
  type CookieSettings,
  hasDeadline,
  isRedated,
  type Lifetime,
  type Loaded,
  lifetime,
  type Records,
  type Renewals,
  sameSettings,
} from "../session/index.js";
import type { UserIndex } from "../users/index.js";
import type { Saver } from "./saver.js";

/** What became of a touch: `"EXPIRED"` where there was nothing to renew. */
export type TouchResult = "OK" | "EXPIRED";

/** What touching needs of the store around it. */
export interface ToucherContext {
  readonly port: Port;
  readonly settings: Settings;
  readonly records: Records;
  readonly renewals: Renewals;
  readonly saver: Saver;
  readonly index: UserIndex | undefined;
}

/** Renews sessions that were used and not changed. */
export class Toucher {
  readonly #context: ToucherContext;

  constructor(context: ToucherContext) {
    this.#context = context;
  }

  /** How long the session shall live, or `undefined` where nothing has to be sent. */
  plan(sid: string, session: object, known: Loaded | undefined): Lifetime | undefined {
    const { settings, renewals } = this.#context;
    const now = Date.now();
    const created = known?.created ?? now;
    const inUse = known !== undefined && !isRedated(known, session);
    const life = lifetime(settings.rules, session, sid, created, now, inUse);
    if (known !== undefined && mustStore(known, session)) return life;
    if (settings.disableTTL || settings.disableTouch) return undefined;
    return life.exact > now && renewals.covers(sid, life) ? undefined : life;
  }

  /** Does what was planned. */
  async touch(
    sid: string,
    session: object,
    known: Loaded | undefined,
    life: Lifetime,
  ): Promise<TouchResult> {
    const { settings, renewals, saver } = this.#context;
    const isOver = !settings.disableTTL && life.exact <= Date.now();
    if (isOver && known?.expected === undefined) {
      await saver.destroy(sid);
      return "EXPIRED";
    }
    // Only when its first save is done it is known what there is to renew.
    if (known !== undefined && known.expected === undefined) await saver.settled(sid);
    // One that is over is saved as well: another request may have made it live longer.
    if (known !== undefined && (isOver || mustStore(known, session))) {
      const result = await saver.saveCookie(known, cookieOf(session));
      return result === "GONE" ? "EXPIRED" : "OK";
    }
    const renewed =
      known?.expected === undefined
        ? await this.#renewUnknown(sid, session, known !== undefined)
        : await saver.renew(known, life);
    if (!renewed) renewals.forget(sid);
    return renewed ? "OK" : "EXPIRED";
  }

  /** Renews a session by an object that the store did not hand out. */
  async #renewUnknown(sid: string, session: object, inUse: boolean): Promise<boolean> {
    const { port, settings, records, renewals, saver, index } = this.#context;
    const key = settings.prefix + sid;
    let created = Date.now();
    if (hasDeadline(settings.rules)) {
      const value = await port.get(key);
      if (value === null) return false;
      created = (await records.read(value, sid)).created ?? created;
    }
    const now = Date.now();
    const life = lifetime(settings.rules, session, sid, created, now, inUse);
    if (life.exact <= now) {
      await saver.destroy(sid);
      return false;
    }
    if (!(await port.expire(key, life.relaxed - now))) return false;
    renewals.remember(sid, life.relaxed, life);
    const user = index?.storedUserOf(session);
    return user === undefined || index === undefined
      ? true
      : index.written(user, sid, life.relaxed, false);
  }
}

/** Whether a session that nobody changed has to be written nevertheless. */
function mustStore(known: Loaded, session: object): boolean {
  if (known.expected === undefined) return false;
  if (known.undated) return true;
  const cookie = cookieOf(session);
  if (known.cookie === undefined || cookie === undefined) return false;
  return !sameSettings(known.cookie, cookie);
}

function cookieOf(session: object): CookieSettings | undefined {
  const { cookie } = session as { cookie?: unknown };
  return typeof cookie === "object" && cookie !== null ? (cookie as CookieSettings) : undefined;
}
