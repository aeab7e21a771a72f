// The part "migrate": seals and indexes the sessions that are older than the options.
import { Indexed } from "./indexed.js";
import type { Part } from "./part.js";
import { Unreadable } from "./unreadable.js";

export const migrate: Part = async ({ store, options }, { json }, terminal) => {
  const { userId } = options;
  const write = await writing(options.encryption);
  const index = new Indexed(store);
  const unreadable = new Unreadable(store);
  const counts = { seen: 0, sealed: 0, indexed: 0 };
  const words = () => `${counts.seen} seen, ${counts.sealed} sealed, ${counts.indexed} indexed`;
  for await (const { sid, session, keyId } of store.sessions()) {
    counts.seen++;
    terminal.progress(words);
    const user = userId?.(session) ?? undefined;
    const mustSeal = write !== undefined && keyId !== write;
    const mustIndex = user !== undefined && (await index.lacks(String(user), sid));
    if (!mustSeal && !mustIndex) continue;
    // As it is: what the app changes meanwhile stays, and what it ends stays ended.
    if ((await store.set(sid, session)) === "GONE") continue;
    if (mustSeal) counts.sealed++;
    if (mustIndex) counts.indexed++;
  }
  const left = await unreadable.count();
  await terminal.put(json ? JSON.stringify({ ...counts, unreadable: left }) : words());
  if (left > 0) terminal.say(`${left} could not be read and were left alone`);
  return left > 0 ? 4 : 0;
};

/** The id of the key that seals; `null`: sessions are to be plain; `undefined`: they are plain. */
async function writing(encryption: unknown): Promise<string | null | undefined> {
  if (encryption === undefined || encryption === null) return undefined;
  const options: unknown = typeof encryption === "function" ? await encryption() : encryption;
  return (options as { write: string | null }).write;
}
