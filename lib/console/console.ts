// The console: a handler of requests that shows the sessions of a store and ends them.
import type { IncomingMessage, ServerResponse } from "node:http";
import { within } from "../base/index.js";
import type { SessionEntry } from "../index.js";
import { type Content, contentOf } from "./content.js";
import { type Frame, link, plainPage } from "./frame.js";
import { accessOf, assertSameOrigin, formOf, Refusal } from "./guard.js";
import type { Html } from "./html.js";
import { Names, type Purpose } from "./names.js";
import { type Access, type AuditEntry, type ConsoleOptions, checked } from "./options.js";
import {
  type Action,
  donePage,
  faultPage,
  listPage,
  type Named,
  overviewPage,
  sessionPage,
  userPage,
} from "./pages.js";
import { inTurn, type Listed, listed, Scan, type UserOf } from "./scan.js";
import { serversBehind } from "./servers.js";
import { ICON, STYLE } from "./style.js";
import { counted } from "./words.js";

/** Of every answer: nothing is loaded from elsewhere, kept, guessed or framed. */
const HEADERS: Readonly<Record<string, string>> = {
  "Content-Security-Policy":
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
  "X-Content-Type-Options": "nosniff",
  "Cache-Control": "no-store",
  "Referrer-Policy": "same-origin",
};

/** For so long the overview looks, in ms, and so long if somebody wants to wait. */
const PATIENCE = 2000;
const LONG_PATIENCE = 25_000;
/** About so many sessions are on a page of the list. */
const ROWS = 50;
/** A page of the list passes over so many empty parts of Redis. */
const MOST_EMPTY = 20;
/** The longest name in an address; a longer one is none. */
const LONGEST_NAME = 8192;

/** Serves the console, under whatever path it is mounted. */
export type ConsoleHandler<Request extends IncomingMessage = IncomingMessage> = (
  request: Request,
  response: ServerResponse,
) => void;

interface Answer {
  readonly status: number;
  readonly body: Html | string;
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Makes the handler of a console: mount it under a path of Express, connect or node:http.
 *
 * @throws ERR_INVALID_OPTION
 */
export function sessionConsole<Request extends IncomingMessage = IncomingMessage>(
  options: ConsoleOptions<Request>,
): ConsoleHandler<Request> {
  const console = new Console(checked(options));
  return (request, response) => void console.serve(request, response);
}

class Console<Request extends IncomingMessage> {
  readonly #options: ReturnType<typeof checked<Request>>;
  readonly #names: Names;
  readonly #scan: Scan;
  readonly #userOf: UserOf | undefined;
  readonly #warned = new Set<string>();

  constructor(options: ReturnType<typeof checked<Request>>) {
    this.#options = options;
    const { store, key, userId } = options;
    this.#names = new Names(key, store.prefix);
    this.#userOf = userId && ((session) => named(() => userId(session)));
    this.#scan = new Scan(store, this.#userOf);
  }

  async serve(request: Request, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    const answer = await this.#answer(request, gone.signal);
    if (gone.signal.aborted || response.headersSent) return;
    const type = answer.type ?? "text/html; charset=utf-8";
    response.writeHead(answer.status, { ...answer.headers, "Content-Type": type });
    response.end(String(answer.body));
  }

  async #answer(request: Request, gone: AbortSignal): Promise<Answer> {
    const access = await accessOf(request, this.#options, (words) => this.#warn(words));
    if (access === null) {
      return { status: 403, body: plainPage("No access", "You may not see the sessions here.") };
    }
    const frame = this.#frame(access);
    try {
      if (request.method === "POST") return await this.#post(request, access);
      if (request.method === "GET" || request.method === "HEAD") {
        return await this.#get(queryOf(request), { access, frame, gone });
      }
      const words = `There is nothing here for ${request.method}.`;
      const headers = { Allow: "GET, HEAD, POST" };
      return { status: 405, headers, body: faultPage(frame, "Not possible", words) };
    } catch (error) {
      if (error instanceof Refusal) {
        const { status, message } = error;
        return { status, body: faultPage(frame, "Not possible", message) };
      }
      return { status: 503, body: faultPage(frame, "Failed", this.#wordsOf(error)) };
    }
  }

  #frame(access: Access): Frame {
    const may = access.role === "read" ? "may look" : "may look and end sessions";
    return {
      prefix: this.#options.store.prefix,
      access: `${access.actor === undefined ? "You" : `${access.actor}: you`} ${may}.`,
    };
  }

  #get(query: URLSearchParams, visit: Visit): Answer | Promise<Answer> {
    switch (query.get("at") ?? "overview") {
      case "overview":
        return this.#overview(visit, query.get("look") === "longer");
      case "list":
        return this.#list(visit, query.get("cursor"));
      case "user":
        return this.#user(visit, query.get("id") ?? "");
      case "session":
        return this.#session(visit, query.get("name") ?? "");
      case "done":
        return this.#done(visit, query.get("name") ?? "");
      case "style":
        return { status: 200, type: "text/css; charset=utf-8", body: STYLE };
      case "icon":
        return { status: 200, type: "image/svg+xml", body: ICON };
      default:
        throw new Refusal(404, "There is no such page.");
    }
  }

  async #overview({ frame, gone }: Visit, isLong: boolean): Promise<Answer> {
    const { store, timeout } = this.#options;
    const patience = isLong ? LONG_PATIENCE : PATIENCE;
    const ping = await store.ping();
    const [seen, servers] = await Promise.all([
      this.#scan.look(patience, gone),
      serversBehind(store.client, timeout),
    ]);
    // Who shares a result gets it in the same moment: their pages are made one by one.
    const body = await inTurn(async () => {
      const largest = seen.largest.map((one) => this.#named(one));
      return overviewPage(frame, { seen, largest, patience, mayWait: !isLong, servers, ping });
    }, gone);
    return { status: 200, body: body ?? "" };
  }

  async #list({ frame, gone }: Visit, from: string | null): Promise<Answer> {
    const { store } = this.#options;
    let cursor = from;
    let entries: readonly SessionEntry[] = [];
    try {
      for (let turn = 0; turn < MOST_EMPTY; turn++) {
        const page = await inTurn(() => store.page({ cursor, limit: ROWS }), gone);
        if (page === undefined) break;
        ({ cursor, entries } = page);
        if (entries.length > 0 || cursor === null) break;
      }
    } catch (error) {
      if (from === null || codeOf(error) !== "ERR_INVALID_OPTION") throw error;
      throw new Refusal(400, "This page of the list does not exist. Begin anew.");
    }
    const rows = entries.map((entry) => this.#named(listed(entry, this.#userOf)));
    const hasUsers = this.#userOf !== undefined;
    const body = listPage(frame, { rows, hasUsers, cursor, isFirst: from === null });
    return { status: 200, body };
  }

  async #user({ access, frame, gone }: Visit, user: string): Promise<Answer> {
    const { store } = this.#options;
    if (user === "") throw new Refusal(400, "Which user? Give an id.");
    let entries: readonly SessionEntry[] = [];
    try {
      entries = (await inTurn(() => store.sessionsOf(user), gone)) ?? [];
    } catch (error) {
      if (!isInvalid(error)) throw error;
      throw new Refusal(400, `The store finds no user by this: ${(error as Error).message}.`);
    }
    const rows = entries.map((entry) => this.#named({ ...listed(entry, undefined), user }));
    const all = {
      title: `End all sessions of ${user}`,
      warning: "Whoever uses them is logged out at once, everywhere.",
      of: this.#names.seal("endAll", user),
    };
    const actions = access.role === "write" ? [all] : [];
    return { status: 200, body: userPage(frame, { user, rows, actions }) };
  }

  async #session({ access, frame }: Visit, name: string): Promise<Answer> {
    const facts = this.#opened<Listed>("session", name);
    const { store } = this.#options;
    const session = await store.get(facts.sid);
    if (session === null) {
      const why = await this.#why(facts.sid);
      const over = { listed: facts, content: undefined, why, actions: [], problem: undefined };
      return { status: 404, body: sessionPage(frame, over) };
    }
    const { content, problem } = await this.#content(session, facts, access);
    const actions = access.role === "write" ? this.#actions(facts) : [];
    const body = sessionPage(frame, { listed: facts, content, why: undefined, actions, problem });
    return { status: 200, body };
  }

  /** What a session holds; whatever is revealed was told to `audit` before. */
  async #content(
    session: object,
    { handle }: Listed,
    { actor }: Access,
  ): Promise<{ content: Content; problem: string | undefined }> {
    const { reveal } = this.#options;
    const content = contentOf(session, (path, value) => isTrue(() => reveal?.(path, value, actor)));
    const paths = content.lines.flatMap(({ path, shown }) => (shown === undefined ? [] : [path]));
    if (paths.length === 0) return { content, problem: undefined };
    try {
      await this.#audit({ event: "reveal", action: "reveal", actor, handle, paths });
      return { content, problem: undefined };
    } catch {
      const problem = "No value is shown: audit() failed.";
      return { content: contentOf(session, () => false), problem };
    }
  }

  #actions({ sid, handle, user }: Listed): Action[] {
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
    const all = {
      title: `End all sessions of ${user}`,
      warning: "Whoever uses them is logged out at once, everywhere.",
      of: this.#names.seal("endAll", user),
    };
    return [one, others, all];
  }

  /** Why a session is over, as the end of a sentence. */
  async #why(sid: string): Promise<string | undefined> {
    try {
      const why = await this.#options.store.whyGone(sid);
      if (why === null) return undefined;
      return why.because === undefined ? `: ${why.reason}` : `: ${why.reason}, ${why.because}`;
    } catch {
      // The store does not remember it.
      return undefined;
    }
  }

  #done({ frame }: Visit, name: string): Answer {
    const { words, user } = this.#opened<{ words: string; user?: string }>("done", name);
    return { status: 200, body: donePage(frame, words, user) };
  }

  async #post(request: Request, access: Access): Promise<Answer> {
    assertSameOrigin(request, this.#options.origin);
    if (access.role !== "write") {
      throw new Refusal(403, "You may look, but not end sessions. Nothing was ended.");
    }
    const of = (await formOf(request)).get("of") ?? "";
    const task = this.#task(of);
    const { actor } = access;
    const { entry, user } = task;
    try {
      await this.#audit({ ...entry, event: "intent", actor });
    } catch {
      throw new Refusal(503, "audit() failed. Nothing was ended.");
    }
    let ended: number | undefined;
    let failure: unknown;
    try {
      ended = await task.run();
    } catch (error) {
      failure = error;
    }
    const outcome = ended === undefined ? { error: codeOf(failure) ?? "unknown" } : { ended };
    try {
      await this.#audit({ ...entry, event: "outcome", actor, ...outcome });
    } catch {
      const what = ended === undefined ? "That failed" : `${counted(ended, "session")} ended`;
      throw new Refusal(500, `${what}, and audit() did not take the outcome.`);
    }
    if (ended === undefined) throw failure;
    const words =
      ended === 0 ? "There was no session left to end." : `${counted(ended, "session")} ended.`;
    const name = this.#names.seal("done", { words, user });
    return { status: 303, headers: { Location: link("done", { name }) }, body: "" };
  }

  /** What a form asks for. @throws Refusal for one that is not of this console, or over an hour old */
  #task(of: string): Task {
    const { store } = this.#options;
    const sid = this.#open<string>("endOne", of);
    if (sid !== undefined) {
      const entry = { action: "end", handle: store.handleOf(sid) } as const;
      return { entry, user: undefined, run: () => store.destroy(sid, {}) };
    }
    const others = this.#open<[user: string, sid: string]>("endOthers", of);
    if (others !== undefined) {
      const [user, except] = others;
      const entry = { action: "endOthers", user, handle: store.handleOf(except) } as const;
      return { entry, user, run: () => store.destroyAllOf(user, { except }) };
    }
    const user = this.#opened<string>("endAll", of);
    return { entry: { action: "endAll", user }, user, run: () => store.destroyAllOf(user) };
  }

  #open<Value>(purpose: Purpose, name: string): Value | undefined {
    if (name.length > LONGEST_NAME) return undefined;
    return this.#names.open(purpose, name) as Value | undefined;
  }

  /** @throws Refusal for what is no name of this console, or no longer */
  #opened<Value>(purpose: Purpose, name: string): Value {
    const value = this.#open<Value>(purpose, name);
    if (value !== undefined) return value;
    const message =
      "What this page or form names is not known here: it is over an hour old, or of another console or process. Begin from the list. Nothing was ended.";
    throw new Refusal(410, message);
  }

  #named(one: Listed): Named {
    return { listed: one, name: this.#names.seal("session", one) };
  }

  async #audit(entry: AuditEntry): Promise<void> {
    const { audit, timeout } = this.#options;
    if (audit === undefined) return;
    const heard = (async () => audit(entry))();
    try {
      await within(heard, timeout, "audit()", "ERR_TIMEOUT");
    } catch (error) {
      this.#warn(`audit() failed, or took longer than ${timeout} ms`);
      throw error;
    }
  }

  /** What a page says of an error: the store's hold no secret, of others nothing is known. */
  #wordsOf(error: unknown): string {
    if (codeOf(error) !== undefined) return `${(error as Error).message} (${codeOf(error)})`;
    this.#warn("a page failed by an error that is not the store's");
    return "The page could not be made.";
  }

  /** Once for each cause: a console that lets nobody in says why, and no request fills a log. */
  #warn(words: string): void {
    if (this.#warned.has(words)) return;
    this.#warned.add(words);
    process.emitWarning(`the console of "${this.#options.store.prefix}": ${words}`, {
      type: "SessionConsoleWarning",
    });
  }
}

/** One request: who asks, and whether they still wait. */
interface Visit {
  readonly access: Access;
  readonly frame: Frame;
  readonly gone: AbortSignal;
}

/** What a form asks for. */
interface Task {
  readonly entry: Pick<AuditEntry, "action" | "handle" | "user">;
  readonly user: string | undefined;
  run(): Promise<number>;
}

/** The query alone says what is asked for: the path is the business of whoever mounts the console. */
function queryOf({ url = "" }: IncomingMessage): URLSearchParams {
  const start = url.indexOf("?");
  return new URLSearchParams(start === -1 ? "" : url.slice(start));
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

function codeOf(error: unknown): string | undefined {
  const { name, code } = (error ?? {}) as { name?: unknown; code?: unknown };
  return name === "StoreError" ? String(code) : undefined;
}

function isInvalid(error: unknown): boolean {
  return /^ERR_INVALID_(OPTION|SID|SESSION)$/.test(codeOf(error) ?? "");
}
