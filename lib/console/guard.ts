// Decides who may do what: asks `authorize`, looks where a form comes from, reads its one field.
import type { IncomingMessage } from "node:http";
import { within } from "../base/index.js";
import type { Access, ConsoleOptions } from "./options.js";

/** So long may a form be, in bytes: one sealed name. */
const LONGEST_FORM = 16_384;

/** What is answered in place of a page: a status and a sentence. */
export class Refusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/**
 * Who asks; `null`: nobody who may.
 *
 * @param warn - told in words why `authorize` is of no use
 */
export async function accessOf<Request extends IncomingMessage>(
  request: Request,
  { authorize, timeout }: { authorize: ConsoleOptions<Request>["authorize"]; timeout: number },
  warn: (words: string) => void,
): Promise<Access | null> {
  try {
    const asked = (async () => authorize(request))();
    const answer: unknown = await within(asked, timeout, "authorize()", "ERR_TIMEOUT");
    if (answer === null) return null;
    const { role, actor } = (answer ?? {}) as { role?: unknown; actor?: unknown };
    if (role === "read" && (actor === undefined || isName(actor))) return { role, actor };
    if (role === "write" && isName(actor)) return { role, actor };
    warn('authorize() must answer null, { role: "read" } or { role: "write", actor: "name" }');
  } catch {
    warn(`authorize() failed, or took longer than ${timeout} ms`);
  }
  return null;
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

/**
 * @param origin - the option; without it the place that the header Host names
 * @throws Refusal for a form that may be of another page
 */
export function assertSameOrigin({ headers }: IncomingMessage, origin: string | undefined): void {
  const site = headers["sec-fetch-site"];
  if (site !== undefined ? site === "same-origin" : isHere(headers.origin, headers.host, origin)) {
    return;
  }
  throw new Refusal(403, "This form was not sent from a page of the console. Nothing was ended.");
}

function isHere(from: string | undefined, host: string | undefined, origin?: string): boolean {
  if (from === undefined || !URL.canParse(from)) return false;
  if (origin !== undefined) return from === origin;
  const { protocol, host: itsHost } = new URL(from);
  return /^https?:$/.test(protocol) && itsHost !== "" && itsHost === host?.toLowerCase();
}

/**
 * What a form says is to be done, also where a middleware of the app has read it already.
 *
 * @throws Refusal for what is no form of the console
 */
export async function formOf(request: IncomingMessage): Promise<URLSearchParams> {
  const type = request.headers["content-type"] ?? "";
  if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(type)) {
    throw new Refusal(415, "This is no form of the console. Nothing was ended.");
  }
  const { body } = request as { body?: unknown };
  if (request.readableEnded && typeof body === "object" && body !== null) {
    return new URLSearchParams(
      Object.entries(body).filter(([, value]) => typeof value === "string"),
    );
  }
  return new URLSearchParams(await textOf(request));
}

function textOf(request: IncomingMessage): Promise<string> {
  const long = new Refusal(413, "This form is too long. Nothing was ended.");
  const length = Number(request.headers["content-length"] ?? 0);
  if (length > LONGEST_FORM) return Promise.reject(long);
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const broken = () => reject(new Refusal(400, "The form did not arrive. Nothing was ended."));
    // Node throws away what comes after the answer.
    const end = () => request.off("data", take);
    const take = (chunk: Buffer) => {
      size += chunk.length;
      chunks.push(chunk);
      if (size <= LONGEST_FORM) return;
      end();
      reject(long);
    };
    if (request.readableEnded || request.destroyed) return broken();
    request.on("data", take);
    request.once("end", () => resolve(Buffer.concat(chunks).toString()));
    request.once("close", broken);
    request.once("error", broken);
  });
}
