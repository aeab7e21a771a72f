// Renews sessions that were used and not changed.
import type { Report } from "../base/index.js";
import type { Port } from "../client/index.js";
import type { Settings } from "../options.js";
import {
  type CookieSettings,
  cookieOf,
  hasDeadline,
  isRedated,
  type Lifetime,
  type Listed,
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
    const { settings, renewals, saver } = this.#context;
    const now = Date.now();
    const created = known?.created ?? now;
    const inUse = known !== undefined && !isRedated(known, cookieOf(session)?.expires);
    const life = lifetime(settings.rules, session, sid, created, now, inUse);
    if (known !== undefined && mustStore(known, cookieOf(session), settings.conflict)) return life;
    if (settings.disableTTL || settings.disableTouch) return undefined;
    const held = known?.held;
    const isCovered = held && life.exact > now && renewals.covers(sid, held.stored, life, now);
    return isCovered && !saver.isDoomed(sid) ? undefined : life;
  }

  /** Does what was planned. */
  async touch(
    sid: string,
    session: object,
    known: Loaded | undefined,
    life: Lifetime,
    report?: Report,
  ): Promise<TouchResult> {
    const { settings, renewals, saver } = this.#context;
    const isOver = !settings.disableTTL && life.exact <= Date.now();
    if (known === undefined || known.held === undefined) {
      if (isOver) {
        await saver.destroy(sid, undefined, report);
        return "EXPIRED";
      }
      if (known === undefined) {
        return resultOf(await this.#renewUnknown(sid, session, false, report));
      }
    }
    // What the app does to the cookie while this waits is not what it asked for.
    const cookie = saver.takeCookie(session);
    // Only when its first save is done it is known what there is to renew.
    if (known.held === undefined) await saver.settled(sid);
    if (known.held === undefined) {
      return resultOf(await this.#renewUnknown(sid, session, true, report));
    }
    const isEnding = isOver && !known.isRow;
    // One that is over is saved as well: another request may have made it live longer.
    if (isEnding || mustStore(known, cookie.seen.settings, settings.conflict)) {
      return resultOf((await saver.saveCookie(known, cookie, report)) !== "GONE");
    }
    const renewed = known.isRow
      ? await this.#extend(sid, life, report)
      : await saver.renew(known, known.held, life, report);
    if (!renewed) renewals.forget(sid);
    return resultOf(renewed);
  }

  /** Renews a session by a row of `all()`, of which the text is not remembered. */
  async touchListed(
    { sid, created }: Listed,
    session: object,
    report?: Report,
  ): Promise<TouchResult> {
    const { settings } = this.#context;
    const now = Date.now();
    const life = lifetime(settings.rules, session, sid, created ?? now, now, true);
    if (settings.disableTTL || settings.disableTouch) return "OK";
    return resultOf(await this.#extend(sid, life, report));
  }

  /** Renews a session by a row of a listing: that never shortens its life, and never ends it. */
  async #extend(sid: string, { relaxed }: Lifetime, report: Report | undefined): Promise<boolean> {
    const { port, settings, renewals, saver, index } = this.#context;
    if (saver.isDoomed(sid)) return false;
    renewals.forget(sid);
    const key = settings.prefix + sid;
    const px = relaxed - Date.now();
    const extend = async () => {
      if (px > 0) {
        report?.asked();
        await port.expire(key, px, "longer");
      }
      report?.asked();
      return true;
    };
    if (index !== undefined) return index.renewing(sid, extend);
    await extend();
    const [size] = await port.measure([key]);
    return Boolean(size);
  }

  /** Renews a session by an object that the store did not hand out. */
  async #renewUnknown(
    sid: string,
    session: object,
    inUse: boolean,
    report: Report | undefined,
  ): Promise<boolean> {
    const { port, settings, records, renewals, saver, index } = this.#context;
    if (saver.isDoomed(sid)) return false;
    const key = settings.prefix + sid;
    let created = Date.now();
    if (hasDeadline(settings.rules)) {
      report?.asked();
      const value = await port.get(key);
      if (value === null) return false;
      const record = await records.read(value, sid);
      if (record === null) return false;
      created = record.created ?? created;
    }
    const now = Date.now();
    const life = lifetime(settings.rules, session, sid, created, now, inUse);
    if (life.exact <= now) {
      await saver.destroy(sid, undefined, report);
      return false;
    }
    renewals.forget(sid);
    report?.asked();
    const renew = () => port.expire(key, life.relaxed - now);
    return index === undefined ? renew() : index.renewing(sid, renew);
  }
}

/** Whether a session that nobody changed has to be written nevertheless. */
function mustStore(
  { held, cookie, isDoubted, isRow }: Loaded,
  now: CookieSettings | undefined,
  conflict: Settings["conflict"],
): boolean {
  if (held === undefined) return false;
  if (held.isStale) return true;
  // A cookie that was stored without an answer may be another one than this.
  if (isDoubted && !isRow && conflict !== "overwrite") return true;
  if (cookie.settings === undefined || now === undefined) return false;
  return !sameSettings(cookie.settings, now);
}

function resultOf(isRenewed: boolean): TouchResult {
  return isRenewed ? "OK" : "EXPIRED";
}
