import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

/** The oldest major of Node that the project runs on. */
const OLDEST_NODE = 20;

/**
 * @typedef {object} Locked
 * @property {string} [resolved]
 * @property {Record<string, string>} [optionalDependencies]
 * @property {{ node?: string }} [engines]
 */

/**
 * Whether `npm ci` accepts the lock file on any platform and behind any mirror.
 * A mirror may lack the newest builds of a tool for other platforms; npm then
 * leaves them out of the lock file it writes, and `npm ci` refuses that file.
 * And whether it does so without warnings that look like a fault of ours.
 */
export async function lockfile() {
  /** @type {{ packages: Record<string, Locked> }} */
  const { packages } = JSON.parse(
    readFileSync(new URL("../package-lock.json", import.meta.url), "utf8"),
  );
  const entries = Object.entries(packages);
  const named = new Set(entries.map(([path]) => path.split("node_modules/").at(-1)));
  for (const [path, { resolved, engines, optionalDependencies = {} }] of entries) {
    assert(!resolved, `${path} has a download address: keep the setting in .npmrc`);
    const wanted = engines?.node;
    assert(
      path === "" || wanted === undefined || takesNode(OLDEST_NODE, wanted),
      `${path} says that it wants Node ${wanted}, and npm warns everybody with Node ${OLDEST_NODE}: choose another version; or, if the tests run there all the same, take its "engines" out of the lock file`,
    );
    const missing = Object.keys(optionalDependencies).filter((name) => !named.has(name));
    assert.equal(
      missing.length,
      0,
      `${path} lacks ${missing.join(", ")}: choose a version that has all of them`,
    );
  }
}

/**
 * Whether a range of versions, as in `engines`, takes some version of a major of Node.
 *
 * @param {number} major
 * @param {string} range
 */
export function takesNode(major, range) {
  return range.split("||").some((part) =>
    part
      .trim()
      .split(/(?<=[\d*x])\s+(?=[<>=^~])/)
      .every((bound) => {
        const [, operator = "", digits] = /^([<>=^~]*)\s*v?(\d+)?/.exec(bound) ?? [];
        if (digits === undefined) return true;
        const least = Number(digits);
        if (operator.startsWith(">")) return least <= major;
        if (operator.startsWith("<")) return least >= major;
        return least === major;
      }),
  );
}
