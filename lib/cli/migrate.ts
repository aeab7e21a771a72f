// The part "migrate": seals and indexes the sessions that are older than the options.
import type { Part } from "./part.js";

/** The users whose index was looked at last are remembered; of more, the oldest are looked at again. */
const REMEMBERED = 10_000;

export const migrate: Part = async ({ store, options }, { json }, terminal) => {
  const { userId } = options;
  const write = await writing(options.encryption);
  const indexed = new Map<string, Set<string>>();
  const counts = { seen: 0, sealed: 0, indexed: 0, unreadable: 0 };
  store.on("corrupt", () => counts.unreadable++);
  const isListed = async (user: string, sid: string): Promise<boolean> => {
    let sids = indexed.get(user);
    if (sids === undefined) {
      sids = new Set((await store.sessionsOf(user)).map((entry) => entry.sid));
      if (indexed.size >= REMEMBERED) indexed.clear();
      indexed.set(user, sids);
    }
    return sids.has(sid);
  };
  for await (const { sid, session, keyId } of store.sessions()) {
    counts.seen++;
    terminal.progress(
      () => `${counts.seen} seen, ${counts.sealed} sealed, ${counts.indexed} indexed`,
    );
    const user = userId?.(session) ?? undefined;
    const mustSeal = write !== undefined && keyId !== write;
    const mustIndex = user !== undefined && !(await isListed(String(user), sid));
    if (!mustSeal && !mustIndex) continue;
    // As it is: what the app changes meanwhile stays, and what it ends stays ended.
    if ((await store.set(sid, session)) === "GONE") continue;
    if (mustSeal) counts.sealed++;
    if (mustIndex) counts.indexed++;
  }
  await terminal.put(
    json
      ? JSON.stringify(counts)
      : `${counts.seen} seen, ${counts.sealed} sealed, ${counts.indexed} indexed`,
  );
  if (counts.unreadable > 0)
    terminal.say(`${counts.unreadable} could not be read and were left alone`);
  return counts.unreadable > 0 ? 4 : 0;
};

/** The id of the key that seals; `null`: sessions are to be plain; `undefined`: they are plain. */
async function writing(encryption: unknown): Promise<string | null | undefined> {
  if (encryption === undefined || encryption === null) return undefined;
  const options: unknown = typeof encryption === "function" ? await encryption() : encryption;
  return (options as { write: string | null }).write;
}
