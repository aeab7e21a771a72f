// Makes what a GET shows: asks the store, and hands the facts to a page.
import type { RedisStore, SessionPage } from "../index.js";
import type { Audit } from "./audit.js";
import type { Named } from "./cells.js";
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
import { Scan } from "./scan.js";
import { serversBehind } from "./servers.js";
import { inTurn } from "./turns.js";
import { counted } from "./words.js";

/** For so long the overview looks, in ms, and so long if somebody wants to wait. */
const PATIENCE = 2000;
const LONG_PATIENCE = 25_000;
/** About so many sessions are on a page of the list. */
const ROWS = 50;
/** A page of the list passes over so many empty parts of Redis. */
const MOST_EMPTY = 20;

/** One request: who asks, and whether they still wait. */
export interface Visit {
  readonly access: Access;
  readonly frame: Frame;
  readonly gone: AbortSignal;
}

/** A page, and its status where that is not 200. */
export interface View {
  readonly body: Html | string;
  readonly status?: number;
}

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
    const ping = await this.#store.ping();
    const [seen, servers] = await Promise.all([
      this.#scan.look(patience, gone),
      serversBehind(this.#store.client, this.#timeout),
    ]);
    // Who shares a result gets it in the same moment: their pages are made one by one.
    const body = await inTurn(async () => {
      const largest = seen.largest.map((one) => this.#named(one));
      return overviewPage(frame, { seen, largest, patience, mayWait: !isLong, servers, ping });
    }, gone);
    return { body: body ?? "" };
  }

  async list({ frame, gone }: Visit, from: string | null): Promise<View> {
    let page: SessionPage | undefined;
    let unreadable = 0;
    try {
      for (let turn = 0; turn < MOST_EMPTY; turn++) {
        const cursor: string | null = page === undefined ? from : page.cursor;
        page = await inTurn(() => this.#store.page({ cursor, limit: ROWS }), gone);
        if (page === undefined) return { body: "" };
        unreadable += page.unreadable;
        if (page.entries.length > 0 || page.cursor === null) break;
      }
    } catch (error) {
      if (from === null || codeOf(error) !== "ERR_INVALID_OPTION") throw error;
      throw new Refusal(400, "This page of the list does not exist. Begin anew.");
    }
    const { entries = [], cursor = null } = page ?? {};
    const body = await inTurn(async () => {
      const rows = entries.map((entry) => this.#named(listed(entry, this.#userOf)));
      const hasUsers = this.#userOf !== undefined;
      const isFirst = from === null;
      return listPage(frame, { rows, hasUsers, unreadable, cursor, isFirst });
    }, gone);
    return { body: body ?? "" };
  }

  async user({ access, frame, gone }: Visit, user: string): Promise<View> {
    if (user === "") throw new Refusal(400, "Which user? Give an id.");
    let rows: readonly Named[];
    try {
      const entries = (await inTurn(() => this.#store.sessionsOf(user), gone)) ?? [];
      rows = entries.map((entry) => this.#named({ ...listed(entry, undefined), user }));
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
