// The part "list": the sessions, a line each.
import { Largest } from "../base/index.js";
import type { SessionEntry, UserSessionEntry } from "../index.js";
import type { Connection } from "./connect.js";
import type { Console } from "./console.js";
import { usage } from "./failure.js";
import type { Arguments, Part } from "./part.js";
import { bytes, columns, escaped, span } from "./text.js";
import { Unreadable } from "./unreadable.js";
import { type UserOf, userOf } from "./user.js";

const WIDTHS = [44, 8, 8, 9];

/** Prints the sessions as they come, or the largest of them when all were seen. */
export const list: Part = async (connection, given, terminal) => {
  const { json, limit, largest } = given;
  if (limit !== undefined && largest !== undefined)
    throw usage("--limit does not go with --largest");
  const { userId } = connection.options;
  const unreadable = new Unreadable(connection.store);
  const put = (entry: SessionEntry) =>
    terminal.put(json ? asJson(entry, userId) : asLine(entry, userId, terminal));
  if (!json && terminal.isShown) {
    const heads = columns(["handle", "age", "left", "size", "user"], WIDTHS);
    await terminal.put(terminal.paint("dim", heads));
  }
  const kept = largest === undefined ? undefined : new Largest(largest, bytesOf, handleOf);
  let count = 0;
  let ofUsers = 0;
  for await (const entry of entriesOf(connection, given)) {
    if (count === limit) break;
    count++;
    if (userId !== undefined && userOf(entry, userId) !== undefined) ofUsers++;
    if (kept === undefined) await put(entry);
    else kept.add(entry);
    terminal.progress(() => `${count} sessions`);
  }
  for (const entry of kept?.things ?? []) await put(entry);
  if (!json) {
    const logged = userId === undefined ? "" : `, ${ofUsers} of them logged in`;
    terminal.say(`${count} sessions${logged}${count === limit ? ", and perhaps more" : ""}`);
  }
  const left = await unreadable.count();
  if (left > 0) terminal.say(`${left} keys of this prefix hold no session that can be read`);
  return 0;
};

async function* entriesOf({ store }: Connection, { user }: Arguments) {
  yield* user === undefined ? store.sessions() : await store.sessionsOf(user);
}

const bytesOf = (entry: SessionEntry) => entry.bytes;
const handleOf = (entry: SessionEntry) => entry.handle;

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
