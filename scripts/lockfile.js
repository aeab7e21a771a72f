import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

/**
 * @typedef {object} Locked
 * @property {string} [resolved]
 * @property {Record<string, string>} [optionalDependencies]
 */

/**
 * Whether `npm ci` accepts the lock file on any platform and behind any mirror.
 * A mirror may lack the newest builds of a tool for other platforms; npm then
 * leaves them out of the lock file it writes, and `npm ci` refuses that file.
 */
export async function lockfile() {
  /** @type {{ packages: Record<string, Locked> }} */
  const { packages } = JSON.parse(
    readFileSync(new URL("../package-lock.json", import.meta.url), "utf8"),
  );
  const entries = Object.entries(packages);
  const named = new Set(entries.map(([path]) => path.split("node_modules/").at(-1)));
  for (const [path, { resolved, optionalDependencies = {} }] of entries) {
    assert(!resolved, `${path} has a download address: keep the setting in .npmrc`);
    const missing = Object.keys(optionalDependencies).filter((name) => !named.has(name));
    assert.equal(
      missing.length,
      0,
      `${path} lacks ${missing.join(", ")}: choose a version that has all of them`,
    );
  }
}
