// Counts the sessions for the doctor: how many, how old, how big, and what is wrong with them.
import type { Connection } from "./connect.js";
import type { Console } from "./console.js";
import type { Finding } from "./finding.js";
import { bytes, span } from "./text.js";

/** Above this a session is bigger than most; each request carries it, in bytes. */
const BIG = 100_000;

/** Goes through all sessions once. */
export async function* census(
  { store, options }: Connection,
  terminal: Console,
): AsyncGenerator<Finding> {
  const { userId } = options;
  const keys = new Map<string | null, number>();
  let count = 0;
  let total = 0;
  let biggest = { bytes: 0, handle: "" };
  let oldest: number | undefined;
  let endless = 0;
  let unlisted = 0;
  let unreadable = 0;
  store.on("corrupt", () => unreadable++);
  const now = Date.now();
  try {
    let known = new Map<string, Set<string>>();
    for await (const entry of store.sessions()) {
      count++;
      terminal.progress(() => `counted ${count} sessions`);
      total += entry.bytes;
      if (entry.bytes > biggest.bytes) biggest = { bytes: entry.bytes, handle: entry.handle };
      if (entry.created) oldest = Math.min(oldest ?? now, entry.created.getTime());
      if (entry.expires === null) endless++;
      keys.set(entry.keyId, (keys.get(entry.keyId) ?? 0) + 1);
      const user = userId?.(entry.session) ?? undefined;
      if (user === undefined) continue;
      const name = String(user);
      if (known.size > 1000) known = new Map();
      let sids = known.get(name);
      if (sids === undefined) {
        sids = new Set((await store.sessionsOf(name)).map(({ sid }) => sid));
        known.set(name, sids);
      }
      if (!sids.has(entry.sid)) unlisted++;
    }
  } catch (error) {
    yield { verdict: "unknown", check: "sessions", says: (error as Error).message };
    return;
  }
  const age = oldest === undefined ? "" : `, the oldest ${span(now - oldest)} old`;
  yield { verdict: "fine", check: "sessions", says: `${count}, ${bytes(total)} in all${age}` };
  const says =
    count === 0 ? "no session" : `the biggest has ${bytes(biggest.bytes)}: ${biggest.handle}`;
  yield biggest.bytes < BIG
    ? { verdict: "fine", check: "sizes", says }
    : {
        verdict: "doubtful",
        check: "sizes",
        says,
        advice: "every request carries its session: keep documents in a database",
      };
  yield endless === 0 || options.disableTTL
    ? { verdict: "fine", check: "expiry", says: `${count - endless} sessions end by themselves` }
    : {
        verdict: "doubtful",
        check: "expiry",
        says: `${endless} sessions never end`,
        advice: "something wrote them without an expiry: set one, or end them",
      };
  yield unreadable === 0
    ? { verdict: "fine", check: "content", says: "every session can be read" }
    : {
        verdict: "broken",
        check: "content",
        says: `${unreadable} keys hold no session that can be read`,
        advice:
          "another program uses this prefix, or the serializer or a key is not the app's (--config)",
      };
  if (options.encryption !== undefined || [...keys.keys()].some((id) => id !== null)) {
    const plain = keys.get(null) ?? 0;
    const parts = [...keys].map(
      ([id, number]) => `${number} ${id === null ? "plain" : `under "${id}"`}`,
    );
    yield plain === 0 || options.encryption === undefined
      ? { verdict: "fine", check: "encryption", says: parts.join(", ") || "no session" }
      : {
          verdict: "doubtful",
          check: "encryption",
          says: parts.join(", "),
          advice: "migrate seals what is plain",
        };
  }
  if (userId === undefined) return;
  yield unlisted === 0
    ? { verdict: "fine", check: "index", says: "every session of a user is listed" }
    : {
        verdict: "broken",
        check: "index",
        says: `${unlisted} sessions of users are in no index: destroyAllOf() does not find them`,
        advice: "migrate lists them",
      };
}
