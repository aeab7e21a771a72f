// Finds sessions by what the command line names them with.
import type { SessionEntry } from "../index.js";
import type { Connection } from "./connect.js";
import type { Console } from "./console.js";
import { Failure, usage } from "./failure.js";
import type { Arguments } from "./part.js";

/** Stands for a session id that comes by the standard input. */
const BY_INPUT = "-";

/** The handles that the command line names; ids from the standard input are made handles. */
export async function handlesOf(
  { store }: Connection,
  { handles }: Arguments,
  terminal: Console,
): Promise<string[]> {
  const named: string[] = [];
  for (const handle of handles) {
    if (handle === BY_INPUT) named.push(store.handleOf(sidOf(await terminal.read())));
    else if (/^h[A-Za-z0-9_-]{43}$/.test(handle)) named.push(handle);
    else throw usage(`what names a session is a handle, as "list" prints it; this is none`);
  }
  return named;
}

/** The session id in a line: as it is, or from the value of a cookie that is signed. */
function sidOf(line: string): string {
  if (line === "") throw usage('"-" stands for a session id on the standard input; there was none');
  const cookie = /^s:(.*)\.[^.]*$/s.exec(line.startsWith("s%3A") ? decodeURIComponent(line) : line);
  return cookie?.[1] ?? line;
}

/** The sessions with these handles; looks through all of them, or those of one user. */
export async function find(
  { store }: Connection,
  handles: readonly string[],
  user: string | undefined,
  terminal: Console,
): Promise<SessionEntry[]> {
  const wanted = new Set(handles);
  const found: SessionEntry[] = [];
  const all = user === undefined ? store.sessions() : await store.sessionsOf(user);
  let seen = 0;
  for await (const entry of all) {
    terminal.progress(() => `looked at ${seen} sessions`);
    seen++;
    if (!wanted.delete(entry.handle)) continue;
    found.push(entry);
    if (wanted.size === 0) break;
  }
  const [missing] = wanted;
  if (missing !== undefined) throw new Failure(4, `there is no session ${missing}`);
  return found;
}
