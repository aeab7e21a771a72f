// The part "why": why a session ended.
import { usage } from "./failure.js";
import { handlesOf } from "./find.js";
import type { Part } from "./part.js";
import { escaped, span } from "./text.js";

export const why: Part = async (connection, given, terminal) => {
  if (given.handles.length === 0) throw usage("why takes a handle");
  const [handle = ""] = await handlesOf(connection, given, terminal);
  const note = await connection.store.whyGone({ handle });
  if (given.json) {
    await terminal.put(JSON.stringify({ handle, ...(note ?? { reason: null }) }));
  } else if (note === null) {
    await terminal.put(
      "no note: it is there, or it expired or was evicted, or the note is older than keepFor",
    );
  } else {
    const at = note.at as Date;
    await terminal.put(
      `${note.reason}, ${at.toISOString()} (${span(Date.now() - at.getTime())} ago)`,
    );
    if (note.because) await terminal.put(escaped(note.because));
  }
  return 0;
};
