// Runs many plans in a process of its own, and says what came of them.

import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as loader from "./loader.js";

const here = dirname(fileURLToPath(import.meta.url));

/** The simulator itself, compiled. */
export function simulator() {
  const own = new loader.Loader({
    replaced: { "./loader.js": loader },
    isOwn: (file) => file.startsWith(here),
  });
  return /** @type {typeof import("./campaign.js")} */ (own.load(join(here, "campaign.ts")));
}
