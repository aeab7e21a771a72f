// The part "list": the sessions, a line each.
import type { SessionEntry, UserSessionEntry } from "../index.js";
import type { Console } from "./console.js";
import type { Part } from "./part.js";
import { bytes, columns, escaped, span } from "./text.js";

const WIDTHS = [44, 8, 8, 9];

/** Prints the sessions as they come. */
export const list: Part = async ({ store, options }, { user, limit, json }, terminal) => {
  const entries = user === undefined ? store.sessions() : await store.sessionsOf(user);
  let count = 0;
  let corrupt = 0;
  store.on("corrupt", () => corrupt++);
  if (!json && process.stdout.isTTY) {
    await terminal.put(
      terminal.paint("dim", columns(["handle", "age", "left", "size", "user"], WIDTHS)),
    );
  }
  for await (const entry of entries) {
    if (count === limit) break;
    count++;
    await terminal.put(
      json ? asJson(entry, options.userId) : asLine(entry, options.userId, terminal),
    );
    terminal.progress(() => `${count} sessions`);
  }
  if (!json) terminal.say(`${count} sessions${count === limit ? ", and perhaps more" : ""}`);
  if (corrupt > 0) terminal.say(`${corrupt} keys of this prefix hold no session that can be read`);
  return 0;
};

type UserOf = ((session: never) => unknown) | undefined;

function userOf({ session }: SessionEntry, userId: UserOf): string | undefined {
  try {
    const user = userId?.(session as never);
    return typeof user === "string" || typeof user === "number" ? String(user) : undefined;
  } catch {
    return undefined;
  }
}

/** What a list tells of a session: never its id, never its content. */
export function asJson(entry: SessionEntry, userId: UserOf): string {
  const { handle, expires, created, keyId } = entry;
  return JSON.stringify({
    handle,
    user: userOf(entry, userId),
    created,
    lastActive: (entry as Partial<UserSessionEntry>).lastActive,
    expires,
    bytes: entry.bytes,
    keyId,
  });
}

function asLine(entry: SessionEntry, userId: UserOf, terminal: Console): string {
  const now = Date.now();
  const { handle, expires, created } = entry;
  const left = expires === null ? "for ever" : span(expires.getTime() - now);
  const age = created === null ? "-" : span(now - created.getTime());
  const user = escaped(userOf(entry, userId) ?? "");
  return columns([handle, age, left, bytes(entry.bytes), terminal.paint("bold", user)], WIDTHS);
}
