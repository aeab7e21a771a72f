// Decides what to store where somebody else has changed the session.

import { StoreError, within } from "../base/index.js";
import type { ConflictResolver, Settings } from "../options.js";
import {
  type Lifetime,
  type Loaded,
  lifetime,
  type MergeReport,
  merge,
  type Records,
  refreshExpires,
  reportMerge,
  sameSession,
  type Tree,
  type Value,
  type Version,
  type Versions,
} from "../session/index.js";

/** What to put in the place of what another request wrote. */
export interface Resolution {
  /** The text to write; `undefined`: what is there holds everything already. */
  readonly value: Value | undefined;
  readonly life: Lifetime;
  /** The session that is there then. */
  readonly session: Tree;
  readonly report: MergeReport;
}

/** Settles what to store when a session was changed by somebody else since an object was loaded. */
export class Conflicts {
  readonly #settings: Settings;
  readonly #records: Records;
  readonly #versions: Versions;

  constructor(settings: Settings, records: Records, versions: Versions) {
    this.#settings = settings;
    this.#records = records;
    this.#versions = versions;
  }

  /**
   * @param there - what Redis holds now
   * @param own - the text of the object
   * @returns `null` where nothing of the object may be stored
   */
  async resolve(loaded: Loaded, there: Value, own: Value): Promise<Resolution | null> {
    const { rules, conflict, userOf } = this.#settings;
    const { sid } = loaded;
    const [ancestor, current, mine] = await this.#read(loaded, there, own);
    const session =
      typeof conflict === "function"
        ? await this.#decide(conflict, loaded, there, own)
        : merge({ ancestor, current: current.session, mine, userOf });
    if (session === null) return null;

    // What the last save of this object kept of others is no news.
    const known = await this.#versions.stored(loaded.expected as Value, loaded);
    const report = reportMerge(known.session, current.session, mine, session);
    const now = Date.now();
    const created = current.created ?? loaded.created;
    refreshExpires(rules, session, created, now);
    const life = lifetime(rules, session, sid, created, now, true);
    const isThere =
      sameSession(session, current.session) && !(loaded.undated && current.created === undefined);
    const value = isThere
      ? undefined
      : await this.#records.write(session, current.created ?? loaded.stamp, current.hidden);
    return { value, life, session, report };
  }

  async #read(loaded: Loaded, there: Value, own: Value): Promise<[Tree, Version, Tree]> {
    const { session } = await this.#versions.stored(loaded.ancestor as Value, loaded);
    const current = await this.#versions.stored(there, loaded);
    return [session, current, await this.#versions.own(own, loaded)];
  }

  /**
   * What the app's function makes of the three versions. It gets copies, which it may change and
   * return; and what it returns goes through the serializer like every version, so that it may be
   * frozen, and hold a Date.
   */
  async #decide(resolver: ConflictResolver, loaded: Loaded, there: Value, own: Value) {
    const [ancestor, { session: current }, mine] = await this.#read(loaded, there, own);
    const decided = await within(
      resolveBy(resolver, ancestor, current, mine),
      this.#settings.timeout,
      "the conflict function",
      "ERR_INVALID_SESSION",
    );
    return (await this.#records.read(await this.#records.write(decided), loaded.sid)).session;
  }
}

async function resolveBy(
  resolver: ConflictResolver,
  ...versions: [Tree, Tree, Tree]
): Promise<Tree> {
  const session: unknown = await resolver(...(versions as unknown as Parameters<ConflictResolver>));
  if (typeof session === "object" && session !== null && !Array.isArray(session))
    return session as Tree;
  throw new StoreError(
    "ERR_INVALID_SESSION",
    "the conflict function must return a session; nothing was stored",
  );
}
