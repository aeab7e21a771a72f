import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { type Browser, chromium } from "playwright-core";

const executablePath = (process.env.PATH ?? "")
  .split(delimiter)
  .flatMap((folder) =>
    ["chromium", "chromium-browser", "google-chrome"].map((name) => join(folder, name)),
  )
  .find((path) => existsSync(path));

/**
 * Tests of what a browser shows; left out with a word where there is none.
 *
 * @param what - is tested, for that word
 */
export function describeInBrowser(what: string, tests: () => void): void {
  if (executablePath !== undefined) {
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
  return chromium.launch({
    executablePath: executablePath ?? "",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}
