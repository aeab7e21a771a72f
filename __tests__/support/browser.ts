import { type Browser, chromium } from "playwright-core";
import { CHROMIUM, CHROMIUM_ARGS } from "../../tools/chromium.js";

/**
 * Tests of what a browser shows; left out with a word where there is none.
 *
 * @param what - is tested, for that word
 */
export function describeInBrowser(what: string, tests: () => void): void {
  if (CHROMIUM !== undefined) {
    describe(what, tests);
    return;
  }
  process.stderr.write(
    `Not tested in a browser: ${what}. No Chromium is on the PATH (Debian: apt-get install chromium).\n`,
  );
  describe.skip(what, tests);
}

/** Starts the browser. Each launch has a user data folder of its own. */
export function launchBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: CHROMIUM ?? "", args: CHROMIUM_ARGS });
}
