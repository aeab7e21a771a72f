// Writes all sessions as JSON lines, to leave for another store or to keep them over a move of Redis.
//
//   node export-sessions.js > sessions.jsonl
//
// A line is { sid, expires, session }. The file opens every session and shows what is in it: write it
// where nobody else reads, and delete it when it is read in. What changes meanwhile is in it as it was,
// or as it became.
import { once } from "node:events";
import { open } from "./open.js";

const { store, close } = await open();
let count = 0;
let unreadable = 0;
store.on("corrupt", () => unreadable++);
for await (const { sid, session, expires } of store.sessions()) {
  const line = JSON.stringify({ sid, expires, session });
  if (!process.stdout.write(`${line}\n`)) await once(process.stdout, "drain");
  count++;
}
await close();
console.error(`${count} sessions`);
if (unreadable > 0) throw new Error(`${unreadable} cannot be read, and are not in it`);
