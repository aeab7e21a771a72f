import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";
import { CHROMIUM, CHROMIUM_ARGS } from "../tools/chromium.js";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Narrow and wide, light and dark. */
const WINDOWS = [320, 1200].flatMap((width) =>
  /** @type {const} */ (["light", "dark"]).map((colorScheme) => ({
    viewport: { width, height: 800 },
    colorScheme,
  })),
);

/**
 * Looks at the console with a browser: the overview, the one that looks for longer, two pages of the
 * list, one session.
 *
 * @param {string} url of the console
 * @returns {Promise<{ pages: number, faults: string[], slowest: number } | undefined>} what axe finds and
 *   what is cut off, and how long the slowest page took, in ms; `undefined` without a browser
 */
export async function lookWithBrowser(url) {
  if (CHROMIUM === undefined) return undefined;
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_ARGS });
  /** @type {string[]} */
  const faults = [];
  let pages = 0;
  let slowest = 0;
  try {
    for (const window of WINDOWS) {
      const page = await browser.newPage(window);
      page.setDefaultTimeout(60_000);
      /** @param {() => Promise<unknown>} go */
      const look = async (go) => {
        const begun = performance.now();
        await go();
        slowest = Math.max(slowest, performance.now() - begun);
        pages++;
        await page.evaluate(axe);
        const found = /** @type {{ violations: { id: string }[] }} */ (
          await page.evaluate("axe.run()")
        );
        const isCut = await page.evaluate("document.documentElement.scrollWidth > innerWidth");
        for (const { id } of found.violations) faults.push(`${id} at ${page.url()}`);
        if (isCut) faults.push(`cut off at ${page.url()}`);
      };
      await look(() => page.goto(url));
      const longer = page.getByRole("link", { name: "Look for longer" });
      if ((await longer.count()) > 0) await look(() => longer.click());
      await look(() => page.getByRole("link", { name: "All sessions" }).click());
      await look(() => page.getByRole("link", { name: "Next page" }).click());
      await look(() => page.locator("td a").first().click());
      await page.close();
    }
  } finally {
    await browser.close();
  }
  return { pages, faults, slowest };
}
