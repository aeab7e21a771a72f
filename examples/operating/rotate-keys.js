// Another key for sealed sessions, step by step, in the file that SESSION_KEYS names.
//
//   node rotate-keys.js status              how many sessions are sealed under which key
//   node rotate-keys.js add 2026-07         a new key, which opens and does not seal yet
//   node rotate-keys.js write 2026-07       it seals from now on
//   npx redis-session-store migrate --config store.config.js
//                                           seals under it what is there
//   node rotate-keys.js drop 2026-01        takes a key out that no session needs
//
// After each step every server has to have the file before the next one: copy it, then deploy, or have
// the servers call store.reloadKeys(). A key that leaked is no case for this: see docs/encryption.md.
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { open } from "./open.js";

const [step, id = ""] = process.argv.slice(2);
const { SESSION_KEYS: file } = process.env;
if (file === undefined) throw new Error("SESSION_KEYS must name the file of the keys");

/** @type {{ keys: Record<string, string>, write: string | null }} */
const known = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : { keys: {}, write: null };

function save() {
  // Whole or not at all: a server may read it at any time.
  writeFileSync(`${file}.new`, `${JSON.stringify(known, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, /** @type {string} */ (file));
}

/** How many sessions are sealed under which key. @returns {Promise<Map<string, number>>} */
async function count() {
  const { store, close } = await open();
  let unreadable = 0;
  store.on("corrupt", () => unreadable++);
  /** @type {Map<string, number>} */
  const counts = new Map();
  for await (const { keyId } of store.sessions()) {
    const name = keyId ?? "none";
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  await close();
  if (unreadable > 0) counts.set("a key that is not in the file", unreadable);
  return counts;
}

switch (step) {
  case "status":
    for (const [key, number] of await count()) console.log(`${key}: ${number} sessions`);
    console.log(`new ones: ${known.write ?? "none"}`);
    break;
  case "add":
    if (known.keys[id] !== undefined) throw new Error(`there is a key ${id} already`);
    known.keys[id] = randomBytes(32).toString("base64");
    // The first of an app has nothing to wait for.
    if (Object.keys(known.keys).length === 1) known.write = id;
    save();
    break;
  case "write":
    if (known.keys[id] === undefined) throw new Error(`there is no key ${id}; add it first`);
    known.write = id;
    save();
    break;
  case "drop": {
    const number = (await count()).get(id) ?? 0;
    if (id === known.write) throw new Error(`${id} seals; write another one first`);
    if (number > 0) throw new Error(`${number} sessions are sealed under ${id}; migrate first`);
    delete known.keys[id];
    save();
    break;
  }
  default:
    throw new Error("usage: rotate-keys.js status | add ID | write ID | drop ID");
}
