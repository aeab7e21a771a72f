// Decides who may do what: asks `authorize`, looks where a form comes from.
import type { IncomingMessage } from "node:http";
import { within } from "../base/index.js";
import type { Access, ConsoleOptions } from "./options.js";
import { Refusal } from "./refusal.js";

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
