import { once } from "node:events";
import { createServer, type RequestListener, request } from "node:http";
import type { AddressInfo } from "node:net";
import {
  type Access,
  type AuditEntry,
  type ConsoleOptions,
  sessionConsole,
} from "../../lib/console/index.js";
import type { RedisStore } from "../../lib/index.js";

export interface Answered {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;
}

/** A request by hand: fetch lets nobody set Host, Origin and Sec-Fetch-Site. */
export function ask(
  url: string,
  {
    method = "GET",
    headers = {},
    body,
  }: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    // As it is, with its dots: a URL would tidy it up.
    const path = url.replace(/^http:\/\/[^/]*/, "");
    const sent = request({ hostname, port, path, method, headers, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }),
      );
      response.on("error", reject);
    });
    sent.on("error", reject).end(body);
  });
}

const closings: (() => void)[] = [];
afterEach(() => {
  for (const close of closings.splice(0)) close();
});

/** Serves a handler until the test is over; its address without a slash at the end. */
export async function serve(handler: RequestListener): Promise<string> {
  const server = createServer(handler).listen(0, "127.0.0.1");
  closings.push(() => server.close().closeAllConnections());
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A console for a writer, and what its `audit` heard. */
export async function openConsole(
  store: RedisStore,
  options: Partial<ConsoleOptions> = {},
): Promise<{ url: string; heard: AuditEntry[] }> {
  const heard: AuditEntry[] = [];
  const authorize = (): Access => ({ role: "write", actor: "grace" });
  const audit = (entry: AuditEntry) => heard.push(entry);
  const url = await serve(sessionConsole({ store, authorize, audit, ...options }));
  return { url: `${url}/`, heard };
}

/** The links of a page to one place, as they can be asked for. */
export function linksTo(place: string, body: string): string[] {
  return [...body.matchAll(/href="(\?[^"]*)"/g)]
    .map(([, link = ""]) => link.replaceAll("&amp;", "&"))
    .filter((link) => new URLSearchParams(link).get("at") === place);
}

/** The form of a page behind these words: what its field says. */
export function formOf(words: string, body: string): string {
  const forms = body.split("<details>").slice(1);
  const form = forms.find((one) => one.startsWith(`<summary>${words}`)) ?? "";
  return /name="of" value="([^"]*)"/.exec(form)?.[1] ?? `there is no form "${words}"`;
}

/** Headers of a browser that sends a form of the same page. */
export const OWN = {
  "Sec-Fetch-Site": "same-origin",
  "Content-Type": "application/x-www-form-urlencoded",
};

/** Sends a form as a browser does. */
export function send(
  url: string,
  of: string,
  headers: Record<string, string> = OWN,
): Promise<Answered> {
  return ask(url, { method: "POST", headers, body: new URLSearchParams({ of }).toString() });
}
