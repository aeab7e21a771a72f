// Decides what to store where somebody else has changed the session.
import { StoreError, within } from "../base/index.js";
import type { ConflictResolver, Settings } from "../options.js";
import {
  cookieOf,
  type Held,
  type Lifetime,
  type Loaded,
  lifetime,
  type MergeReport,
  merge,
  type Records,
  refreshExpires,
  reportMerge,
  sameSession,
  type Text,
  type Tree,
  type Value,
  type Version,
  type Versions,
} from "../session/index.js";

/** What is to be stored, what it started from, and what is there instead. */
export interface Dispute {
  readonly loaded: Loaded;
  /** What the object started from; `undefined`: it was to be the first. */
  readonly base: Held | undefined;
  readonly there: Text;
  /** The plain text of the object. */
  readonly own: Value;
  /** Whether the app has set the date of its cookie by hand. */
  readonly isRedated: boolean;
}

/** What to put in the place of what another request wrote. */
export interface Resolution {
  /** The plain text to write; `undefined`: what is there holds everything already. */
  readonly plain: Value | undefined;
  /** What tells that text apart, or the one that is there. */
  readonly mark: string | undefined;
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

  /** @returns `null` where nothing of the object may be stored */
  async resolve(dispute: Dispute): Promise<Resolution | null> {
    const { rules, conflict } = this.#settings;
    const { loaded, base, isRedated } = dispute;
    const { sid } = loaded;
    const [ancestor, current, mine] = await this.#read(dispute);
    const session =
      typeof conflict === "function"
        ? await this.#decide(conflict, dispute)
        : merge({
            ancestor,
            current: current.session,
            mine,
            userOf: (tree) => this.#userOf(tree),
            isFirst: base === undefined,
          });
    if (session === null) return null;

    // What the last save of this object kept of others is no news.
    const known = await this.#versions.of(base?.plain, loaded);
    const report = reportMerge(known.session, current.session, mine, session);
    const now = Date.now();
    const created = current.created ?? loaded.created;
    const cookie = cookieOf(session) as Tree | undefined;
    const date = cookieOf(mine)?.expires;
    if (isRedated && cookie !== undefined) session.cookie = { ...cookie, expires: date };
    else refreshExpires(rules, session, created, now);
    const life = lifetime(rules, session, sid, created, now, !isRedated);
    const lacksDate = loaded.stamp !== undefined && current.created === undefined;
    // A write that may still come expects a text that was there: that must not stay.
    const isThere =
      sameSession(session, current.session) && !isRedated && !lacksDate && !loaded.isDoubted;
    const plain = isThere
      ? undefined
      : await this.#records.write(session, {
          created: current.created ?? loaded.stamp,
          hidden: current.hidden,
          mark: current.mark,
        });
    return { plain, mark: current.mark, life, session, report };
  }

  /** @throws ERR_INVALID_SESSION where the app's function throws */
  #userOf(session: Tree): unknown {
    try {
      return this.#settings.userOf(session);
    } catch (error) {
      const message = "the userId function threw; nothing was stored";
      throw new StoreError("ERR_INVALID_SESSION", message, error);
    }
  }

  async #read({ loaded, base, there, own }: Dispute): Promise<[Tree, Version, Tree]> {
    const { session } = await this.#versions.of(base?.own, loaded);
    const current = await this.#versions.of(there.plain, loaded);
    return [session, current, await this.#versions.own(own, loaded)];
  }

  /**
   * What the app's function makes of the three versions. It gets copies, which it may change and
   * return; and what it returns goes through the serializer like every version, so that it may be
   * frozen, and hold a Date.
   */
  async #decide(resolver: ConflictResolver, dispute: Dispute) {
    const [ancestor, { session: current }, mine] = await this.#read(dispute);
    const decided = await within(
      resolveBy(resolver, ancestor, current, mine),
      this.#settings.timeout,
      "the conflict function",
      "ERR_INVALID_SESSION",
    );
    const plain = await this.#records.write(decided);
    return (await this.#records.parse(plain, dispute.loaded.sid)).session;
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
