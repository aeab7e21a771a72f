// The console: a handler of requests that shows the sessions of a store and ends them.
import type { IncomingMessage, ServerResponse } from "node:http";
import { Audit } from "./audit.js";
import { Endings } from "./endings.js";
import { codeOf } from "./failures.js";
import { formOf } from "./form.js";
import { type Frame, link, plainPage } from "./frame.js";
import { accessOf, assertSameOrigin } from "./guard.js";
import type { Html } from "./html.js";
import { Names } from "./names.js";
import { type Access, type ConsoleOptions, checked } from "./options.js";
import { faultPage } from "./pages.js";
import { Refusal } from "./refusal.js";
import { ICON, STYLE } from "./style.js";
import { type Done, Views, type Visit } from "./views.js";
import { Warnings } from "./warnings.js";

/** Of every answer: nothing is loaded from elsewhere, kept, guessed or framed. */
const HEADERS: Readonly<Record<string, string>> = {
  "Content-Security-Policy":
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
  "X-Content-Type-Options": "nosniff",
  "Cache-Control": "no-store",
  "Referrer-Policy": "same-origin",
};

/** Serves the console, under whatever path it is mounted. */
export type ConsoleHandler<Request extends IncomingMessage = IncomingMessage> = (
  request: Request,
  response: ServerResponse,
) => void;

interface Answer {
  readonly status?: number;
  readonly body: Html | Buffer | string;
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
  readonly #views: Views;
  readonly #endings: Endings;
  readonly #warnings: Warnings;

  constructor(options: ReturnType<typeof checked<Request>>) {
    const { store, key } = options;
    this.#options = options;
    this.#names = new Names(key, store.prefix);
    this.#warnings = new Warnings(store.prefix);
    const audit = new Audit(options, this.#warnings.warn);
    this.#views = new Views(options, this.#names, audit);
    this.#endings = new Endings(store, this.#names, audit);
  }

  async serve(request: Request, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    const { status = 200, type, headers, body } = await this.#answer(request, gone.signal);
    if (gone.signal.aborted || response.headersSent) return;
    response.writeHead(status, {
      ...headers,
      "Content-Type": type ?? "text/html; charset=utf-8",
    });
    response.end(Buffer.isBuffer(body) ? body : String(body));
  }

  async #answer(request: Request, gone: AbortSignal): Promise<Answer> {
    const access = await accessOf(request, this.#options, this.#warnings.warn);
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
    const views = this.#views;
    switch (query.get("at") ?? "overview") {
      case "overview":
        return views.overview(visit, query.get("look") === "longer");
      case "list":
        return views.list(visit, query.get("cursor"));
      case "user":
        return views.user(visit, query.get("id") ?? "");
      case "session":
        return views.session(visit, query.get("name") ?? "");
      case "done":
        return views.done(visit, query.get("name") ?? "");
      case "style":
        return { type: "text/css; charset=utf-8", body: STYLE };
      case "icon":
        return { type: "image/svg+xml", body: ICON };
      default:
        throw new Refusal(404, "There is no such page.");
    }
  }

  async #post(request: Request, access: Access): Promise<Answer> {
    assertSameOrigin(request, this.#options.origin);
    if (access.role !== "write") {
      throw new Refusal(403, "You may look, but not end sessions. Nothing was ended.");
    }
    const done: Done = await this.#endings.end(await formOf(request), access.actor);
    this.#views.forget();
    const name = this.#names.seal("done", done);
    return { status: 303, headers: { Location: link("done", { name }) }, body: "" };
  }

  /** What a page says of an error: the store's hold no secret, of others nothing is known. */
  #wordsOf(error: unknown): string {
    if (codeOf(error) !== undefined) return `${(error as Error).message} (${codeOf(error)})`;
    this.#warnings.warn("a page failed by an error that is not the store's");
    return "The page could not be made.";
  }
}

/** The query alone says what is asked for: the path is the business of whoever mounts the console. */
function queryOf({ url = "" }: IncomingMessage): URLSearchParams {
  const start = url.indexOf("?");
  return new URLSearchParams(start === -1 ? "" : url.slice(start));
}
