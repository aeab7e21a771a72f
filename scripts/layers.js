// Holds lib to its layers: imports point down, a wing is entered through its index, no circles, and
// each file begins with one sentence on what it is for.
//
//   node scripts/layers.js [folder]

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/** From the ground up. What stands in one line does not import each other. */
const LAYERS = [
  ["base"],
  ["session"],
  ["client"],
  ["options"],
  ["endings"],
  ["users"],
  ["read", "save", "events"],
  ["arguments", "store-events"],
  ["store"],
  ["index"],
  ["bearer", "legacy", "metrics", "console", "cli"],
];

const IMPORT =
  /^(?:import|export)\b[^;]*?\bfrom\s+"(\.[^"]+)"|\bimport\("(\.[^"]+)"\)|require\("(\.[^"]+)"\)/gms;

/** @type {(folder: string) => string[]} */
function sources(folder) {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => /\.[mc]?ts$/.test(name))
    .map((name) => name.replaceAll("\\", "/"))
    .sort();
}

/** @type {(file: string) => string} a wing, or a file that stands beside the wings */
function roomOf(file) {
  return (file.split("/")[0] ?? "").replace(/\.[mc]?ts$/, "");
}

/**
 * What breaks the rules.
 *
 * @param {string} folder - of the sources
 * @returns {string[]}
 */
export function faults(folder) {
  const files = sources(folder);
  const known = new Set(files);
  const layerOf = new Map(LAYERS.flatMap((rooms, layer) => rooms.map((room) => [room, layer])));
  /** @type {string[]} */
  const found = [];
  /** @type {Map<string, string[]>} */
  const graph = new Map();
  for (const file of files) {
    const text = readFileSync(join(folder, file), "utf8");
    const room = roomOf(file);
    if (!layerOf.has(room)) found.push(`${file}: "${room}" has no layer in scripts/layers.js`);
    if (!/^(#!.*\n)?\/\/ [A-Z].*\.$/m.test(text.split("\n").slice(0, 2).join("\n"))) {
      found.push(`${file}: begins without a sentence on what it is for`);
    }
    /** @type {string[]} */
    const imports = [];
    graph.set(file, imports);
    for (const [, a, b, c] of text.matchAll(IMPORT)) {
      const path = join(dirname(file), /** @type {string} */ (a ?? b ?? c)).replaceAll("\\", "/");
      const target = path.replace(/\.([mc]?)js$/, ".$1ts");
      if (!known.has(target)) continue;
      imports.push(target);
      const other = roomOf(target);
      if (other === room) continue;
      const own = layerOf.get(room) ?? 0;
      const below = layerOf.get(other) ?? 0;
      if (below >= own) found.push(`${file}: imports ${target}, which is not below it`);
      if (target.includes("/") && target !== `${other}/index.ts`) {
        found.push(`${file}: imports ${target} past ${other}/index.ts`);
      }
    }
  }
  return [...found, ...circles(graph)];
}

/** @type {(graph: Map<string, string[]>) => string[]} */
function circles(graph) {
  /** @type {Set<string>} */
  const done = new Set();
  /** @type {string[]} */
  const path = [];
  /** @type {string[]} */
  const found = [];
  /** @type {(file: string) => void} */
  const visit = (file) => {
    const start = path.indexOf(file);
    if (start !== -1) found.push(`a circle: ${[...path.slice(start), file].join(" → ")}`);
    if (start !== -1 || done.has(file)) return;
    path.push(file);
    for (const target of graph.get(file) ?? []) visit(target);
    path.pop();
    done.add(file);
  };
  for (const file of graph.keys()) visit(file);
  return found;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const root = fileURLToPath(new URL("..", import.meta.url));
  const folder = resolve(process.argv[2] ?? join(root, "lib"));
  const found = faults(folder);
  for (const fault of found) console.log(`${relative(root, folder)}/${fault}`);
  process.exitCode = found.length > 0 ? 1 : 0;
}
