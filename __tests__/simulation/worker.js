// Runs plans in a process of its own: `simulate` of workers.js starts one for each core.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as loader from "./loader.js";

/** @typedef {typeof import("./campaign.js")} Simulator */
/** @typedef {import("./campaign.js").Job} Job */
/** @typedef {import("./campaign.js").Result} Result */
/** @typedef {{ runs: number } | { result: Result } | { error: string }} Message */

const here = dirname(fileURLToPath(import.meta.url));

const own = new loader.Loader({
  replaced: { "./loader.js": loader },
  // The oracle opens what is sealed, by the library itself.
  isOwn: (file) => file.startsWith(here) || file.startsWith(join(loader.root, "lib")),
});
const { campaign } = /** @type {Simulator} */ (own.load(join(here, "campaign.ts")));

const tell = (/** @type {Message} */ message) => process.send?.(message);

/** After this run no further one is of interest. */
let last = Number.POSITIVE_INFINITY;

process.on("message", (/** @type {Job | { stop: number }} */ message) => {
  if ("stop" in message) {
    last = Math.min(last, message.stop);
    return;
  }
  campaign(
    message,
    (runs) => tell({ runs }),
    () => last,
  ).then(
    (result) => tell({ result }),
    (error) => tell({ error: String(error.stack) }),
  );
});
process.on("disconnect", () => process.exit());
