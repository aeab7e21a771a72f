import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { describeInBrowser, launchBrowser } from "../support/browser.js";

const root = join(__dirname, "../..");

interface Demo {
  readonly process: ChildProcess;
  readonly url: string;
  readonly redisPid: number;
  /** The process ids of the app servers that run, by name. */
  servers(): Promise<Map<string, number>>;
  end(signal: NodeJS.Signals): Promise<void>;
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`this never came true: ${condition.toString()}`);
    await delay(20);
  }
}

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Runs the demo; what it leaves in `dir`, its folder for temporary files, tells of its Redis. */
function run(dir: string, env: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, ["demo/index.js"], {
    cwd: root,
    env: { ...process.env, PORT: "", ...env, TMPDIR: dir },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output = { text: "" };
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => {
      output.text += chunk.toString();
    });
  return { child, output };
}

async function startDemo(env?: NodeJS.ProcessEnv): Promise<Demo> {
  const dir = mkdtempSync(join(tmpdir(), "demo-test-"));
  const { child, output } = run(dir, env);
  const ended = once(child, "exit");
  const address = () => /http:\/\/127\.0\.0\.1:\d+/.exec(output.text)?.[0];
  await until(() => address() !== undefined || child.exitCode !== null);
  const url = address();
  if (url === undefined) throw new Error(output.text);
  const [folder = ""] = readdirSync(dir);
  return {
    process: child,
    url,
    redisPid: Number.parseInt(readFileSync(join(dir, folder, "redis.log"), "utf8"), 10),
    async servers() {
      const response = await fetch(`${url}/servers`);
      const reader = response.body!.getReader();
      const { value } = await reader.read();
      await reader.cancel();
      // The next message may have come along with the first.
      const [text = ""] = Buffer.from(value!).toString().replace("data: ", "").split("\n\n");
      const list = JSON.parse(text) as { name: string; pid: number; state: string }[];
      return new Map(list.filter((it) => it.state === "running").map((it) => [it.name, it.pid]));
    },
    async end(signal) {
      child.kill(signal);
      await ended;
      await until(() => readdirSync(dir).length === 0);
      rmSync(dir, { recursive: true });
    },
  };
}

/** The answer to one request, with headers that fetch does not let anybody set. */
function ask(url: string, method: string, headers: Record<string, string>) {
  return new Promise<{ status: number; body: string; cookie: string }>((resolve, reject) => {
    const sent = request(url, { method, headers }, (response) => {
      let body = "";
      response.on("data", (chunk: Buffer) => {
        body += chunk.toString();
      });
      const cookie = response.headers["set-cookie"]?.[0]?.split(";")[0] ?? "";
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body, cookie }));
    });
    sent.on("error", reject).end();
  });
}

/** Ends a demo by a signal, and looks that nothing is left of it. */
async function endWhole(demo: Demo, signal: NodeJS.Signals): Promise<void> {
  const pids = [...(await demo.servers()).values(), demo.redisPid];
  expect(pids).toHaveLength(4);
  expect(pids.every(alive)).toBe(true);
  await demo.end(signal);
  await until(() => !pids.some(alive));
  expect(demo.process.exitCode).toBe(signal === "SIGKILL" ? null : 0);
  await expect(fetch(demo.url)).rejects.toThrow("fetch failed");
}

describe("the processes of the demo", () => {
  test("nothing is left after SIGKILL", async () => {
    await endWhole(await startDemo(), "SIGKILL");
  });

  test("nothing is left when the process that started it is killed", async () => {
    const dir = mkdtempSync(join(tmpdir(), "demo-test-"));
    const code = `
      const { spawn } = require("node:child_process");
      console.log(spawn(process.execPath, ["demo/index.js"], { stdio: ["ignore", 1, 2] }).pid);
    `;
    const parent = spawn(process.execPath, ["-e", code], {
      cwd: root,
      env: { ...process.env, PORT: "", TMPDIR: dir },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    parent.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString();
    });
    await until(() => output.includes("http:"));
    const pid = Number.parseInt(output, 10);
    expect(alive(pid)).toBe(true);
    parent.kill("SIGKILL");
    await until(() => !alive(pid) && readdirSync(dir).length === 0);
    rmSync(dir, { recursive: true });
  });

  test("PORT names the port; one that is taken is told in a sentence; that and SIGTERM leave nothing", async () => {
    const owner = createServer().listen(0, "127.0.0.1");
    await once(owner, "listening");
    const PORT = String((owner.address() as AddressInfo).port);
    const dir = mkdtempSync(join(tmpdir(), "demo-test-"));
    const { child, output } = run(dir, { PORT });
    await once(child, "close");
    expect(child.exitCode).toBe(1);
    expect(output.text).toMatch(/^The demo cannot start: .*address already in use.*\n$/);
    await until(() => readdirSync(dir).length === 0);
    rmSync(dir, { recursive: true });

    owner.close();
    await once(owner, "close");
    const demo = await startDemo({ PORT });
    expect(demo.url).toBe(`http://127.0.0.1:${PORT}`);
    await endWhole(demo, "SIGTERM");
  });
});

describe("a session of the demo", () => {
  test("that was over is told to have expired, and one after a logout to have been ended; SIGINT leaves nothing", async () => {
    const demo = await startDemo({ DEMO_TTL: "0.5" });
    try {
      const origin = demo.url;
      const get = async (cookie?: string) =>
        JSON.parse(
          (await ask(`${demo.url}/session`, "GET", cookie === undefined ? {} : { cookie })).body,
        );
      const { cookie, body } = await ask(`${demo.url}/session`, "GET", {});
      expect(JSON.parse(body).ended).toMatchObject({ reason: "no-cookie" });
      await delay((await get(cookie)).expiresIn + 1);
      expect((await get(cookie)).ended).toMatchObject({ reason: "expired-or-evicted", at: null });

      const again = (await ask(`${demo.url}/session`, "GET", {})).cookie;
      await ask(`${demo.url}/logout`, "POST", { origin, cookie: again });
      expect((await get(again)).ended).toMatchObject({ reason: "regenerated" });
    } finally {
      await endWhole(demo, "SIGINT");
    }
  });
});

describe("the front of the demo", () => {
  let demo: Demo;
  beforeAll(async () => {
    demo = await startDemo({ DEMO_RESTART_AFTER: "3000" });
  });
  afterAll(() => demo.end("SIGTERM"));

  test("no other page can kill a process or change a session", async () => {
    const before = await demo.servers();
    const { host } = new URL(demo.url);
    for (const path of ["/servers/1/kill", "/count"]) {
      const url = demo.url + path;
      const others = [{}, { origin: "http://127.0.0.1:1" }, { origin: "null" }];
      for (const headers of others) expect((await ask(url, "POST", headers)).status).toBe(403);
      const rebound = { host: "evil.example", origin: "http://evil.example" };
      expect((await ask(url, "POST", rebound)).status).toBe(403);
      expect((await ask(url, "GET", { host: "evil.example" })).status).toBe(403);
      expect((await ask(url, "GET", {})).status).toBe(404);
    }
    expect(await demo.servers()).toEqual(before);
    expect((await ask(`${demo.url}/count`, "POST", { origin: `http://${host}` })).status).toBe(200);
  });

  test("the console shows its sessions by any server, and no other page ends one", async () => {
    const url = `${demo.url}/console`;
    const list = await ask(`${url}?at=list`, "GET", {});
    const link = /href="(\?at=session&amp;name=[^"]*)"/.exec(list.body)?.[1] ?? "";
    // Each goes to the next server.
    for (let i = 0; i < 3; i++) {
      const session = await ask(url + link.replaceAll("&amp;", "&"), "GET", {});
      expect([session.status, session.body]).toEqual([200, expect.stringContaining("Content")]);
    }
    const foreign = { origin: "http://127.0.0.1:1" };
    expect((await ask(url, "POST", foreign)).status).toBe(403);
  });

  test("a server that has just been killed is passed over", async () => {
    const pid = (await demo.servers()).get("3")!;
    process.kill(pid, "SIGKILL");
    for (let i = 0; i < 6; i++) {
      const { status, body } = await ask(`${demo.url}/session`, "GET", {});
      expect(status).toBe(200);
      expect(JSON.parse(body)).not.toMatchObject({ pid });
    }
  });

  test("a change is not made twice because its server died, and with no server there is an error", async () => {
    const origin = demo.url;
    const { cookie } = await ask(`${demo.url}/session`, "GET", {});
    const change = ask(`${demo.url}/pair/slow`, "POST", { origin, cookie });
    // The request is on its way to a server as soon as another one is answered.
    await ask(`${demo.url}/session`, "GET", { cookie });
    for (const name of ["1", "2", "3"])
      await ask(`${demo.url}/servers/${name}/kill`, "POST", { origin });
    expect(await change).toMatchObject({ status: 502, body: expect.stringContaining("died") });
    expect(await ask(`${demo.url}/session`, "GET", {})).toMatchObject({
      status: 503,
      body: expect.stringContaining("No server"),
    });
  });

  test("a server that died is started again", async () => {
    await until(async () => (await demo.servers()).size === 3);
    expect((await ask(`${demo.url}/session`, "GET", {})).status).toBe(200);
  });
});

describeInBrowser("the page of the demo", () => {
  let demo: Demo;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let complaints: string[];

  beforeAll(async () => {
    // No server comes back but by its button.
    demo = await startDemo({ DEMO_RESTART_AFTER: "600000" });
    browser = await launchBrowser();
  });
  afterAll(async () => {
    await browser.close();
    await demo.end("SIGTERM");
  });

  beforeEach(async () => {
    context = await newContext();
    complaints = [];
    page = await open();
  });
  afterEach(async () => {
    await context.close();
    expect(complaints).toEqual([]);
  });

  /** Nothing moves by itself: a browser that paints all the time takes most of a core. */
  function newContext(): Promise<BrowserContext> {
    return browser.newContext({ reducedMotion: "reduce" });
  }

  async function open(where = context): Promise<Page> {
    const tab = await where.newPage();
    tab.on("pageerror", (error) => complaints.push(error.message));
    tab.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) complaints.push(message.text());
    });
    await tab.goto(demo.url);
    await shows("#status", /^Loaded by server/, tab);
    return tab;
  }

  const text = async (selector: string, tab = page) => (await tab.textContent(selector))?.trim();
  const button = (name: string) => page.getByRole("button", { name, exact: true });
  const seconds = async () => Number.parseInt((await text("#left")) ?? "", 10);

  /** Waits until the element reads so. */
  async function shows(selector: string, expected: string | RegExp, tab = page): Promise<void> {
    const hasText = typeof expected === "string" ? new RegExp(`^\\s*${expected}\\s*$`) : expected;
    await tab.locator(selector).filter({ hasText }).first().waitFor({ timeout: 60_000 });
  }

  async function changeTwo(): Promise<void> {
    await button("Change two at once").click();
    await page.locator("#pair:not([aria-busy])").waitFor();
    await shows("#status", /^Both changes are kept/);
  }

  async function count(to: number): Promise<string> {
    await button("Count one more").click();
    await shows("#counter", String(to));
    return (await text("#server")) ?? "";
  }

  async function put(item: string): Promise<void> {
    await page.getByLabel("Something to buy").fill(item);
    await button("Add").click();
    await page.locator("#basket li", { hasText: item }).waitFor();
  }

  test("it shows which process served the request, and the session id only in part", async () => {
    const pids = await demo.servers();
    const name = (await text("#server"))?.replace("Server ", "") ?? "";
    expect([...pids.keys()]).toContain(name);
    await shows(`[data-server="${name}"][aria-current] span`, `pid ${pids.get(name)}`);
    const [cookie] = await context.cookies();
    const sid = decodeURIComponent(cookie?.value ?? "").replace(/^s:(.*)\..*$/, "$1");
    expect(sid.length).toBeGreaterThan(20);
    expect(await text("#sid")).toBe(`${sid.slice(0, 6)}…`);
    expect(await page.content()).not.toContain(sid);
  });

  test("counter and basket are there whichever process serves", async () => {
    await put("Tea");
    await put("Bread");
    const servers = new Set<string>();
    for (let i = 1; i <= 6; i++) servers.add(await count(i));
    expect([...servers].sort()).toEqual(["Server 1", "Server 2", "Server 3"]);
    await button("Remove Tea").click();
    await shows("#status", /^Removed/);
    await page.reload();
    await shows("#counter", "6");
    await shows("#basket", /^Bread/);
    expect(await page.locator("#basket li").count()).toBe(1);
  });

  test("an item is text, whatever it looks like", async () => {
    const item = '<img src=x onerror="alert(1)"><b>x</b>';
    await put(item);
    expect(await page.locator("#basket img, #basket b").count()).toBe(0);
    expect(await button(`Remove ${item}`).count()).toBe(1);
  });

  test("a login gives a new id and keeps the content; a logout ends the session", async () => {
    await count(1);
    const anonymous = await text("#sid");
    await page.getByLabel("Your name").fill("Grace");
    await button("Log in").click();
    await shows("#user", "Logged in as Grace");
    const known = await text("#sid");
    expect(known).not.toBe(anonymous);
    expect(await text("#counter")).toBe("1");
    const [{ name, value } = { name: "", value: "" }] = await context.cookies();
    const stolen = { cookie: `${name}=${value}` };
    const session = async () => JSON.parse((await ask(`${demo.url}/session`, "GET", stolen)).body);
    expect(await session()).toMatchObject({ user: "Grace", sid: known });

    await button("Log out").click();
    await shows("#user", "Not logged in");
    expect(await text("#sid")).not.toBe(known);
    expect(await text("#counter")).toBe("0");
    expect(await session()).not.toHaveProperty("user");
  });

  test("the session lives on when a process is killed, which then can be started again", async () => {
    await put("Tea");
    const victim = (await count(1)).replace("Server ", "");
    const pid = (await demo.servers()).get(victim)!;
    const card = `[data-server="${victim}"]`;
    await button(`Kill server ${victim}`).click();
    await shows("#status", `Server ${victim} is dead. Your session is not.`);
    await shows(`${card} span`, "dead");
    expect(alive(pid)).toBe(false);

    for (let i = 2; i <= 5; i++) expect(await count(i)).not.toBe(`Server ${victim}`);
    await shows("#basket", /^Tea/);
    await button(`Start server ${victim}`).click();
    await shows("#status", `Server ${victim} is back.`);
    await shows(`${card} span`, `pid ${(await demo.servers()).get(victim)}`);
  });

  test("the time to expiry counts down, and any click sets it back", async () => {
    await page.clock.install();
    await page.reload();
    await shows("#status", /^Loaded/);
    await page.clock.fastForward(3000);
    await until(async () => (await seconds()) <= 58);
    await count(1);
    expect(await seconds()).toBeGreaterThan(58);
    await page.clock.fastForward(2000);
    await until(async () => (await seconds()) <= 59);
  });

  test("a session that nobody used for a minute is shown as over", async () => {
    await page.clock.install();
    await page.reload();
    await shows("#status", /^Loaded/);
    await page.clock.fastForward(61_000);
    await shows("#left", "Over");
    await shows("#status", /the session is over/);
    await button("Count one more").click();
    await shows("#left", /\d+ s/);
  });

  test("of two changes at once both are kept, and connect-redis loses one", async () => {
    for (let round = 0; round < 2; round++) {
      await changeTwo();
      expect(await page.locator('[data-pair="pair"] td').allTextContents()).toEqual([
        "✓ kept",
        "✓ kept",
      ]);
      expect(await page.locator('[data-pair="connect-redis/pair"] td').allTextContents()).toEqual([
        "✓ kept",
        "✗ lost",
      ]);
    }
  });

  test("a browser that was logged out elsewhere is told when, and one that had to make room why", async () => {
    const others = [await newContext(), await newContext()];
    try {
      const login = async (tab: Page) => {
        await tab.getByLabel("Your name").fill("Hedy");
        await tab.getByRole("button", { name: "Log in" }).click();
        await shows("#user", "Logged in as Hedy", tab);
      };
      const [second, third] = (await Promise.all(others.map((one) => open(one)))) as [Page, Page];
      await login(page);
      await login(second);
      await second.getByRole("button", { name: "Log out elsewhere" }).click();
      await shows("#status", /^Logged out elsewhere/, second);
      await button("Count one more").click();
      await shows("#status", /^You were logged out on another device at .*\d\d.*Counted by server/);
      await shows("#user", "Not logged in");
      await login(page);
      await login(third);
      await second.getByRole("button", { name: "Count one more" }).click();
      await shows("#status", /^Another login under your name ended the session at /, second);
    } finally {
      for (const one of others) await one.close();
    }
  });

  test("two tabs show the same session", async () => {
    const other = await open();
    await count(1);
    await shows("#counter", "1", other);
  });

  test("everything can be done with the keyboard, and the focus is never lost", async () => {
    const focus = async (label: string) => {
      const wanted = `document.activeElement?.matches(":focus-visible") && (document.activeElement.ariaLabel ?? document.activeElement.labels?.[0]?.innerText ?? "") === ${JSON.stringify(label)} || document.activeElement?.innerText === ${JSON.stringify(label)}`;
      for (let i = 0; i < 20 && !(await page.evaluate(wanted)); i++)
        await page.keyboard.press("Tab");
      expect(await page.evaluate(wanted)).toBe(true);
      expect(await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")).toBe(
        "solid",
      );
    };
    await focus("Kill server 1");
    await page.keyboard.press("Enter");
    await focus("Start server 1");
    await page.keyboard.press("Space");
    await shows("#status", /is back/);
    await focus("Kill server 1");
    await focus("Count one more");
    await page.keyboard.press("Enter");
    await shows("#counter", "1");
    await focus("Your name");
    await page.keyboard.type(" Lovelace");
    await page.keyboard.press("Enter");
    await shows("#user", /^Logged in as/);
    await focus("Log out");
    await page.keyboard.press("Enter");
    await shows("#user", "Not logged in");
    await focus("Something to buy");
    await page.keyboard.type("Tea");
    await page.keyboard.press("Enter");
    await shows("#basket", /^Tea/);
    await focus("Remove Tea");
    await page.keyboard.press("Enter");
    await shows("#status", /^Removed/);
    await focus("Something to buy");
    await focus("Change two at once");
    await page.keyboard.press("Space");
    await shows("#status", /^Both changes are kept/);
  });

  test("nothing has to be scrolled sideways at 320 and 360 px", async () => {
    await page.setViewportSize({ width: 320, height: 640 });
    await put("W".repeat(40));
    await page.getByLabel("Your name").fill("W".repeat(30));
    await button("Log in").click();
    await shows("#user", /^Logged in as/);
    await changeTwo();
    for (const width of [320, 360]) {
      await page.setViewportSize({ width, height: 640 });
      expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(width);
    }
  });

  test("no click moves what stands below it", async () => {
    await page.setViewportSize({ width: 360, height: 640 });
    const height = () => page.evaluate("document.documentElement.scrollHeight");
    const before = await height();
    await button("Log in").click();
    await shows("#user", /^Logged in as/);
    for (const item of ["Tea", "Bread", "Butter", "Jam", "Honey"]) await put(item);
    await button("Kill server 2").click();
    await shows("#status", /^Server 2 is dead/);
    expect(await height()).toBe(before);
    await changeTwo();
    expect(await height()).toBe(before);
    await button("Start server 2").click();
    await shows("#status", /is back/);
  });
});
