// Makes what a GET shows: asks the store, and hands the facts to a page.
import type { RedisStore, SessionEntry } from "../index.js";
import type { Audit } from "./audit.js";
import { type Named, row } from "./cells.js";
import { type Content, contentOf } from "./content.js";
import { codeOf, isInvalid } from "./failures.js";
import type { Frame } from "./frame.js";
import type { Html } from "./html.js";
import { type Listed, listed, type UserOf } from "./listed.js";
import type { Names } from "./names.js";
import type { Access, ConsoleOptions } from "./options.js";
import { overviewPage } from "./overview.js";
import { type Action, donePage, listPage, sessionPage, userPage } from "./pages.js";
import { Refusal } from "./refusal.js";
import { Scan, SHARED, STEP } from "./scan.js";
import { serversBehind } from "./servers.js";
import { Shared } from "./shared.js";
import type { Seen } from "./tally.js";
import { inTurn, turnToBegin } from "./turns.js";
import { counted } from "./words.js";

/** For so long the overview looks, in ms, and so long if somebody wants to wait. */
const PATIENCE = 2000;
const LONG_PATIENCE = 25_000;
/** About so many sessions are on a page of the list. */
const ROWS = 50;
/** A page of the list has fewer where so many parts of Redis hold fewer. */
const MOST_TURNS = 40;
/** A page of the list is given for so long to who asks for the same, in ms. */
const LIST_SHARED = 1000;
/** So many rows are made in one turn: about half a millisecond of work. */
const AT_ONCE = 25;

/** One request: who asks, and whether they still wait. */
export interface Visit {
  readonly access: Access;
  readonly frame: Frame;
  readonly gone: AbortSignal;
}

/** A page, and its status where that is not 200. */
export interface View {
  readonly body: Html | Buffer | string;
  readonly status?: number;
}

/** For one who is gone. */
const NOTHING: View = { body: "" };

/** What was done, as it is sealed into the address of the page that says so. */
export interface Done {
  readonly sessions: number;
  readonly user?: string | undefined;
}

export class Views {
  readonly #store: RedisStore;
  readonly #reveal: ConsoleOptions["reveal"];
  readonly #timeout: number;
  readonly #names: Names;
  readonly #audit: Audit;
  readonly #userOf: UserOf | undefined;
  readonly #scan: Scan;
  readonly #overviews = new Shared<Buffer>(SHARED);
  readonly #lists = new Shared<Buffer>(LIST_SHARED);

  constructor(
    options: Pick<ConsoleOptions, "store" | "reveal" | "userId"> & { timeout: number },
    names: Names,
    audit: Audit,
  ) {
    const { store, reveal, userId, timeout } = options;
    this.#store = store;
    this.#reveal = reveal;
    this.#timeout = timeout;
    this.#names = names;
    this.#audit = audit;
    this.#userOf = userId && ((session) => named(() => userId(session)));
    this.#scan = new Scan(store, this.#userOf);
  }

  async overview({ frame, gone }: Visit, isLong: boolean): Promise<View> {
    const patience = isLong ? LONG_PATIENCE : PATIENCE;
    const seen = await this.#scan.look(patience, gone);
    if (seen === undefined) return NOTHING;
    const name = JSON.stringify([seen.at, seen.sessions, patience, frame.access]);
    const make = (left: AbortSignal) => this.#overview(frame, seen, isLong, left);
    await turnToBegin(gone);
    return { body: await this.#overviews.get(name, make, gone) };
  }

  async list({ frame, gone }: Visit, from: string | null): Promise<View> {
    const name = JSON.stringify([from, frame.access]);
    const make = (left: AbortSignal) => this.#list(frame, from, left);
    await turnToBegin(gone);
    return { body: await this.#lists.get(name, make, gone) };
  }

  async user({ access, frame, gone }: Visit, user: string): Promise<View> {
    if (user === "") throw new Refusal(400, "Which user? Give an id.");
    let rows: readonly Html[];
    await turnToBegin(gone);
    try {
      const entries = (await inTurn(() => this.#store.sessionsOf(user), gone)) ?? [];
      const ofUser = (entry: SessionEntry) => ({ ...listed(entry, undefined), user });
      rows = await this.#rows(entries, ofUser, false, gone);
    } catch (error) {
      if (!isInvalid(error)) throw error;
      throw new Refusal(400, `The store finds no user by this: ${(error as Error).message}.`);
    }
    const actions = access.role === "write" ? [this.#endAll(user)] : [];
    return { body: userPage(frame, { user, rows, actions }) };
  }

  async session({ access, frame }: Visit, name: string): Promise<View> {
    const facts = this.#names.opened<Listed>("session", name);
    const session = await this.#store.get(facts.sid);
    if (session === null) {
      const why = await this.#why(facts.sid);
      const over = { listed: facts, content: undefined, why, actions: [], problem: undefined };
      return { status: 404, body: sessionPage(frame, over) };
    }
    const { content, problem } = await this.#content(session, facts, access);
    const actions = access.role === "write" ? this.#endings(facts) : [];
    return {
      body: sessionPage(frame, { listed: facts, content, why: undefined, actions, problem }),
    };
  }

  done({ frame }: Visit, name: string): View {
    const { sessions, user } = this.#names.opened<Done>("done", name);
    const words =
      sessions === 0
        ? "There was no session left to end."
        : `${counted(sessions, "session")} ended.`;
    return { body: donePage(frame, words, user) };
  }

  /** Something was ended: what was made before does not show it. */
  forget(): void {
    this.#lists.clear();
  }

  async #overview(frame: Frame, seen: Seen, isLong: boolean, gone: AbortSignal): Promise<Buffer> {
    const store = this.#store;
    const patience = isLong ? LONG_PATIENCE : PATIENCE;
    const ping = await store.ping();
    const servers = await serversBehind(store.client, this.#timeout);
    const page = await inTurn(async () => {
      const largest = seen.largest.map((one) => this.#named(one));
      return overviewPage(frame, { seen, largest, patience, mayWait: !isLong, servers, ping });
    }, gone);
    return shareable(page);
  }

  async #list(frame: Frame, from: string | null, gone: AbortSignal): Promise<Buffer> {
    const entries: SessionEntry[] = [];
    let unreadable = 0;
    let cursor = from;
    try {
      for (let turn = 0; turn < MOST_TURNS && entries.length < ROWS; turn++) {
        const step = { cursor, limit: STEP };
        const page = await inTurn(() => this.#store.page(step), gone);
        if (page === undefined) return shareable(page);
        entries.push(...page.entries);
        unreadable += page.unreadable;
        cursor = page.cursor;
        if (cursor === null) break;
      }
    } catch (error) {
      if (from === null || codeOf(error) !== "ERR_INVALID_OPTION") throw error;
      throw new Refusal(400, "This page of the list does not exist. Begin anew.");
    }
    const hasUsers = this.#userOf !== undefined;
    const ofEntry = (entry: SessionEntry) => listed(entry, this.#userOf);
    const rows = await this.#rows(entries, ofEntry, hasUsers, gone);
    const isFirst = from === null;
    return shareable(listPage(frame, { rows, hasUsers, unreadable, cursor, isFirst }));
  }

  /** The rows of a table, some in each turn. */
  async #rows(
    entries: readonly SessionEntry[],
    of: (entry: SessionEntry) => Listed,
    hasUsers: boolean,
    gone: AbortSignal,
  ): Promise<Html[]> {
    const rows: Html[] = [];
    for (let start = 0; start < entries.length && !gone.aborted; start += AT_ONCE) {
      await inTurn(async () => {
        const some = entries.slice(start, start + AT_ONCE);
        rows.push(...some.map((entry) => row(this.#named(of(entry)), hasUsers)));
      }, gone);
    }
    return rows;
  }

  /** What a session holds; whatever is revealed was told to `audit` before. */
  async #content(
    session: object,
    { handle }: Listed,
    { actor }: Access,
  ): Promise<{ content: Content; problem: string | undefined }> {
    const reveal = this.#reveal;
    const content = contentOf(session, (path, value) => isTrue(() => reveal?.(path, value, actor)));
    const paths = content.lines.flatMap(({ path, shown }) => (shown === undefined ? [] : [path]));
    if (paths.length === 0) return { content, problem: undefined };
    try {
      await this.#audit.hear({ event: "reveal", action: "reveal", actor, handle, paths });
      return { content, problem: undefined };
    } catch {
      const problem = "No value is shown: audit() failed.";
      return { content: contentOf(session, () => false), problem };
    }
  }

  #endings({ sid, handle, user }: Listed): Action[] {
    const one = {
      title: "End this session",
      warning: "Whoever uses it is logged out at once.",
      of: this.#names.seal("endOne", sid),
    };
    if (user === undefined) return [one];
    const others = {
      title: `End all other sessions of ${user}`,
      warning: `Only ${handle.slice(0, 12)} stays. Whoever uses the others is logged out at once.`,
      of: this.#names.seal("endOthers", [user, sid]),
    };
    return [one, others, this.#endAll(user)];
  }

  #endAll(user: string): Action {
    return {
      title: `End all sessions of ${user}`,
      warning: "Whoever uses them is logged out at once, everywhere.",
      of: this.#names.seal("endAll", user),
    };
  }

  /** Why a session is over, as the end of a sentence. */
  async #why(sid: string): Promise<string | undefined> {
    try {
      const why = await this.#store.whyGone(sid);
      if (why === null) return undefined;
      return why.because === undefined ? `: ${why.reason}` : `: ${why.reason}, ${why.because}`;
    } catch {
      // The store does not remember it.
      return undefined;
    }
  }

  #named(one: Listed): Named {
    return { listed: one, name: this.#names.seal("session", one) };
  }
}

/** A page as it goes out to several; kept outside of the heap, where the garbage collector would copy it. */
function shareable(page: Html | undefined): Buffer {
  return Buffer.from(page === undefined ? "" : String(page));
}

/** The user as text; a function of the app that throws says nothing. */
function named(user: () => unknown): string | undefined {
  try {
    const value = user();
    if (typeof value === "number") return String(value);
    return typeof value === "string" && value !== "" ? value : undefined;
  } catch {
    return undefined;
  }
}

function isTrue(answer: () => unknown): boolean {
  try {
    const value = answer();
    // An async function is a mistake; its rejection must not end the process.
    if (value instanceof Promise) value.catch(() => {});
    return value === true;
  } catch {
    return false;
  }
}
