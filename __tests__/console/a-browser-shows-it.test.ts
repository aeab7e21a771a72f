import { readFileSync } from "node:fs";
import type { Browser, BrowserContext, Page } from "playwright-core";
import type { RedisStore } from "../../lib/index.js";
import { describeInBrowser, launchBrowser } from "../support/browser.js";
import { openConsole } from "../support/console.js";
import { type Server, startServer } from "../support/servers.js";
import { connect, makeStore, sessionOf, type TestClient } from "../support/store.js";

const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

describeInBrowser("the console in a browser", () => {
  let client: TestClient;
  let store: RedisStore<TestClient>;
  let browser: Browser;
  const contexts: BrowserContext[] = [];
  let complaints: string[] = [];

  let server: Server;
  beforeAll(async () => {
    // Its own: a page of a server that others use may be empty.
    server = await startServer();
    client = await connect(6, server.url);
    browser = await launchBrowser();
  });
  afterAll(() => browser?.close());

  const userId = (session: object) => (session as { user?: string }).user;
  beforeEach(() => {
    store = makeStore(client, { userId, absoluteTtl: 86_400 });
    complaints = [];
  });
  afterAll(() => server.stop());
  afterEach(async () => {
    await Promise.all(contexts.splice(0).map((context) => context.close()));
    await store.clear();
    expect(complaints).toEqual([]);
  });

  async function fill(count: number): Promise<void> {
    const wide = { [`a-${"very-".repeat(20)}long-key`]: { deep: { list: [1, { x: null }] } } };
    await Promise.all(
      Array.from({ length: count }, (_, i) => {
        const user = i % 5 === 4 ? "W".repeat(60) : ["ada", "bob", undefined, "ada"][i % 5];
        const content = { ...(user && { user }), ...wide, cart: "x".repeat(i) };
        return store.set(`sid ${i}`, sessionOf(content));
      }),
    );
  }

  async function open(options: Parameters<Browser["newContext"]>[0] = {}): Promise<Page> {
    const { url } = await openConsole(store, {
      userId,
      reveal: (path) => path[0] === "cart" || path[0] === "user",
    });
    const context = await browser.newContext(options);
    contexts.push(context);
    const page = await context.newPage();
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) complaints.push(message.text());
    });
    page.on("request", (sent) => {
      if (!sent.url().startsWith(url)) complaints.push(`asks for ${sent.url()}`);
    });
    await page.goto(url);
    return page;
  }

  /** The rules that a page breaks, and where. Of all that axe finds only that comes over to here. */
  function broken(page: Page, ...rules: string[]): Promise<unknown> {
    const only = rules.length === 0 ? {} : { runOnly: rules };
    const options = JSON.stringify({ ...only, resultTypes: ["violations"] });
    return page.evaluate(
      `axe.run(${options}).then(({ violations }) => violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]))`,
    );
  }

  /** What axe finds wrong, and what is wider than the window. In the dark only colours differ. */
  async function look(page: Page): Promise<void> {
    await page.evaluate(axe);
    const light = await broken(page);
    await page.emulateMedia({ colorScheme: "dark" });
    const dark = await broken(page, "color-contrast");
    await page.emulateMedia({ colorScheme: "light" });
    expect([page.url(), light, dark]).toEqual([page.url(), [], []]);
    const [wide, window] = (await page.evaluate(
      "[document.documentElement.scrollWidth, innerWidth]",
    )) as [number, number];
    expect(wide).toBeLessThanOrEqual(window);
  }

  const sizes = [
    ["narrow", { viewport: { width: 320, height: 640 } }],
    ["wide", { viewport: { width: 1200, height: 800 } }],
  ] as const;
  const cases = sizes.flatMap(([name, size]) =>
    // 120 are more than a page of the list. The bench looks at a million.
    [0, 10, 120].map((count) => [name, count, size] as const),
  );
  test.each(cases)(
    "%s, light and dark, on %i sessions: axe finds nothing, and nothing is cut off",
    async (_, count, size) => {
      await fill(count);
      const page = await open(size);
      await look(page);
      await page.getByRole("link", { name: "All sessions" }).click();
      await look(page);
      if (count === 0) {
        await page.getByText("There are no sessions.").waitFor();
        return;
      }
      await page.getByRole("link", { name: "ada" }).first().click();
      await page.getByRole("heading", { name: "User ada" }).waitFor();
      for (const summary of await page.locator("summary").all()) await summary.click();
      await look(page);
      await page.locator("td a").first().click();
      await page.getByRole("heading", { name: "Content" }).waitFor();
      for (const summary of await page.locator("summary").all()) await summary.click();
      await look(page);
      await page.getByRole("button", { name: "End all other sessions of ada" }).click();
      await page.getByRole("status").waitFor();
      await look(page);
      await page.goto(`${page.url().replace(/\?.*/, "")}?at=session&name=old`);
      await page.getByRole("heading", { name: "Not possible" }).waitFor();
      await look(page);
      // That one says 410, which a browser complains of.
      complaints = complaints.filter((one) => !one.includes("410"));
    },
    120_000,
  );

  test("all can be done by keyboard alone, and the focus is seen", async () => {
    await fill(10);
    const page = await open();
    const active = "document.activeElement";
    const focus = async (name: string) => {
      const wanted = `(${active}.innerText || ${active}.labels?.[0]?.innerText || "").trim().startsWith(${JSON.stringify(name)})`;
      for (let i = 0; i < 60 && !(await page.evaluate(wanted)); i++)
        await page.keyboard.press("Tab");
      expect([name, await page.evaluate(wanted)]).toEqual([name, true]);
      expect(await page.evaluate(`getComputedStyle(${active}).outlineStyle`)).toBe("solid");
    };
    await page.keyboard.press("Tab");
    await focus("To the content");
    await page.keyboard.press("Enter");
    expect(await page.evaluate(`${active}.id`)).toBe("main");
    await page.reload();
    await focus("User");
    await page.keyboard.type("bob");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "User bob" }).waitFor();
    await focus("All sessions");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "All sessions" }).waitFor();
    await focus("bob");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "User bob" }).waitFor();
    await focus("End all sessions of bob…");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Tab");
    await focus("End all sessions of bob");
    await page.keyboard.press("Enter");
    await page.getByText("2 sessions ended.").waitFor();
    expect(await store.length()).toBe(8);
  });

  test("it is not shown in a frame, and a form of another page ends nothing", async () => {
    await fill(2);
    const page = await open();
    const url = page.url();
    const evil = await contexts[0]?.newPage();
    if (evil === undefined) throw new Error("there is no context");
    await evil.setContent(`<iframe src="${url}"></iframe>`);
    const [, frame] = evil.frames();
    await frame?.waitForURL(/^chrome-error:/);
    await evil.setContent(
      `<form method="post" action="${url}?"><input name="of" value="x"></form>`,
    );
    const [answer] = await Promise.all([
      evil.waitForResponse(() => true),
      evil.evaluate("document.forms[0].submit()"),
    ]);
    expect(answer.status()).toBe(403);
    expect(await store.length()).toBe(2);
  });
});
