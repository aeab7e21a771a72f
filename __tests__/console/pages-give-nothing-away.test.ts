import { type AuditEntry, type ConsoleOptions, sessionConsole } from "../../lib/console/index.js";
import type { RedisStore } from "../../lib/index.js";
import { ask, linksTo, OWN, openConsole } from "../support/console.js";
import { type Server, startServer } from "../support/servers.js";
import {
  connect,
  makeStore,
  newClient,
  rawOf,
  sessionOf,
  type TestClient,
  unlessSealed,
} from "../support/store.js";

let client: TestClient;
let store: RedisStore<TestClient>;
let server: Server;
beforeAll(async () => {
  // Its own: a page of a server that others use may be empty.
  server = await startServer();
  client = await connect(6, server.url);
});
afterAll(() => server.stop());
beforeEach(() => {
  store = makeStore(client, { userId: (session) => (session as { user?: string }).user });
});
afterEach(() => store.clear());

const userId = (session: object) => (session as { user?: string }).user;

/** Every page that leads on from the overview, and that of each session. */
async function allPages(url: string): Promise<string> {
  const pages = await Promise.all(
    ["", "?at=list", "?at=user&id=ada", "?at=user&id=nobody"].map((link) => ask(url + link)),
  );
  const links = new Set(pages.flatMap(({ body }) => linksTo("session", body)));
  expect(links.size).toBeGreaterThan(0);
  const sessions = await Promise.all([...links].map((link) => ask(url + link)));
  return [...pages, ...sessions].map(({ body }) => body).join("\n");
}

async function pageOf(url: string): Promise<string> {
  const [link = ""] = linksTo("session", (await ask(`${url}?at=list`)).body);
  return (await ask(url + link)).body;
}

test("no page and no link holds a session id, and none of its content", async () => {
  const sid = "a-very-secret-session-id";
  await store.set(sid, sessionOf({ user: "ada", card: "4111111111111111", pin: 987_654 }));
  const { url } = await openConsole(store, { userId });
  const text = await allPages(url);
  for (const form of [sid, Buffer.from(sid).toString("base64url"), encodeURIComponent(sid)])
    expect(text).not.toContain(form);
  expect(text).not.toMatch(/41111111|987_?,?654/);
  expect(text).toContain("text, 16 characters");
  expect(text).toContain(store.handleOf(sid));
});

test("a session full of markup, control characters and __proto__ is text", async () => {
  const attack = `"><script>alert(1)</script><img src=x onerror='a'>&lt;\u0000\u0007\u001b[2J\u202e\u2066\ud800`;
  const text = JSON.stringify({
    cookie: { originalMaxAge: null },
    user: attack,
    list: [attack],
    toString: attack,
  });
  const session = JSON.parse(
    text.replace(
      "{",
      `{"__proto__":{"polluted":${JSON.stringify(attack)}},${JSON.stringify(attack)}:1,"constructor":{"prototype":{"x":1}},`,
    ),
  );
  await store.set("sid", session).catch(() => {
    // A user like this is refused: without it, then.
    delete session.user;
    return store.set("sid", session);
  });
  const { url } = await openConsole(store, {
    reveal: () => true,
    userId: () => attack,
  });
  const all = `${await allPages(url)}${(await ask(`${url}?at=user&id=${encodeURIComponent("<b>x</b>\u202e")}`)).body}`;
  expect(all).not.toMatch(/<script|<img|<b>|onerror='/);
  // Line ends are the page's own.
  expect(all.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}]/u);
  expect(all).toContain("&lt;script&gt;alert(1)&lt;/script&gt;");
  expect(all).toContain("\\u{202e}");
  const page = await pageOf(url);
  expect(page).toContain("__proto__");
  expect(page).toContain("polluted");
  expect(({} as { polluted?: string }).polluted).toBeUndefined();
});

unlessSealed.test("a value that another program wrote harms no page", async () => {
  await store.set("fine", sessionOf({ user: "ada" }));
  await rawOf(client).set(`${store.prefix}broken`, "{<script>");
  await rawOf(client).set(`${store.prefix}list`, "[1,2]");
  const { url } = await openConsole(store);
  const { status, body } = await ask(`${url}?at=list`);
  expect(status).toBe(200);
  expect(linksTo("session", body).length).toBeGreaterThan(0);
  expect(body).not.toContain("{<script>");
  // Neither is it passed over in silence.
  const words = /([12]) keys? of this prefix cannot be read as a session/;
  const unreadable = Number(words.exec(body)?.[1]);
  expect(unreadable).toBeGreaterThan(0);
  expect(words.exec((await ask(url)).body)?.[1]).toBe(String(unreadable));
});

test("content of any size and depth makes a page of a bounded size, which says that it is cut", async () => {
  let deep: object = { end: true };
  for (let i = 0; i < 200; i++) deep = { deep };
  const wide = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`key ${i}`, i]));
  await store.set("sid", sessionOf({ deep, wide }));
  const { url } = await openConsole(store);
  const page = await pageOf(url);
  expect(page.length).toBeLessThan(200_000);
  expect(page).toContain("There is more in it than is shown.");
});

describe("reveal", () => {
  const secret = { user: "ada", name: "Ada L.", deep: { card: "4111" } };
  const heard: AuditEntry[] = [];
  const audit = (entry: AuditEntry) => void heard.push(entry);
  beforeEach(async () => {
    heard.length = 0;
    await store.set("sid", sessionOf(secret));
  });
  const open = (options: Partial<ConsoleOptions>) => openConsole(store, { audit, ...options });

  test("it shows the values that it says, and audit hears of each before", async () => {
    const asked: unknown[] = [];
    const { url } = await open({
      reveal: (path, value, actor) => {
        asked.push([path.join("."), value, actor]);
        return path[0] === "name";
      },
    });
    const page = await pageOf(url);
    expect(page).toContain("Ada L.");
    expect(page).not.toContain("4111");
    expect(asked).toContainEqual(["deep.card", "4111", "grace"]);
    expect(heard).toEqual([
      {
        event: "reveal",
        action: "reveal",
        actor: "grace",
        handle: store.handleOf("sid"),
        paths: [["name"]],
      },
    ]);
  });

  const odd: [string, () => unknown][] = [
    ["answers something else than true", () => "yes"],
    ["is async", async () => true],
    ["rejects", () => Promise.reject(new Error("no"))],
    [
      "throws",
      () => {
        throw new Error("no");
      },
    ],
  ];
  test.each(odd)("where it %s, nothing is shown", async (_, reveal) => {
    const { url } = await open({ reveal: reveal as never });
    expect(await pageOf(url)).not.toMatch(/Ada L\.|4111/);
    expect(heard).toEqual([]);
  });

  test("where audit throws, nothing is shown", async () => {
    const warn = jest.spyOn(process, "emitWarning").mockImplementation(() => {});
    const { url } = await open({
      reveal: () => true,
      audit: () => {
        throw new Error("no");
      },
    });
    const page = await pageOf(url);
    expect(page).not.toMatch(/Ada L\.|4111/);
    expect(page).toContain("No value is shown");
    warn.mockRestore();
  });
});

test("every answer forbids framing, sniffing, keeping, and anything from elsewhere", async () => {
  await store.set("sid", sessionOf({ user: "ada" }));
  const { url } = await openConsole(store);
  const denied = await openConsole(store, { authorize: () => null });
  const [session = ""] = linksTo("session", (await ask(`${url}?at=list`)).body);
  const answers = await Promise.all([
    ...["", "?at=list", "?at=user&id=ada", "?at=style", "?at=icon", "?at=none", session].map(
      (link) => ask(url + link),
    ),
    ask(`${url}?at=list&cursor=none`),
    ask(`${url}?at=session&name=none`),
    ask(url, { method: "DELETE" }),
    ask(url, { method: "POST" }),
    ask(url, { method: "POST", headers: OWN, body: "x".repeat(100_000) }),
    ask(denied.url),
  ]);
  expect(new Set(answers.map(({ status }) => status))).toEqual(
    new Set([200, 400, 403, 404, 405, 410, 413]),
  );
  for (const { headers, body } of answers) {
    expect(headers).toMatchObject({
      "content-security-policy":
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
      "x-content-type-options": "nosniff",
      "cache-control": "no-store",
      "referrer-policy": "same-origin",
    });
    expect(body).not.toMatch(/<script|\sstyle="|\son\w+="|(src|href|action)="(?![?#])/);
  }
});

test("without Redis a page says so in time, by the code of the error", async () => {
  const { client: lost } = newClient(6, { url: "redis://127.0.0.1:1" });
  const broken = makeStore(lost, { timeout: 100 });
  const { url } = await openConsole(broken);
  for (const link of ["", "?at=list"]) {
    const { status, body } = await ask(url + link);
    expect(status).toBe(503);
    expect(body).toMatch(/ERR_(UNAVAILABLE|TIMEOUT)/);
  }
  broken.close();
});

test("options are checked when the console is made", () => {
  const authorize = () => null;
  const wrong: [object, RegExp][] = [
    [{}, /2 options are wrong:.*"store".*"authorize"/s],
    [{ store, authorize, autorize: 1 }, /did you mean "authorize"/],
    [{ store: {}, authorize }, /"store" must be a RedisStore/],
    [{ store, authorize: true }, /"authorize" must be a function/],
    [{ store, authorize, audit: "log" }, /"audit" must be a function/],
    [{ store, authorize, reveal: true }, /"reveal" must be a function/],
    [{ store, authorize, userId: "id" }, /"userId" must be a function/],
    [{ store, authorize, key: "a key that is a secret" }, /"key" must be at least 32.*got 22$/],
    [{ store, authorize, origin: "admin.example" }, /"origin" must be an origin/],
    [{ store, authorize, origin: "https://admin.example/" }, /"origin" must be an origin/],
    [{ store, authorize, timeout: 0 }, /"timeout" must be a whole number/],
  ];
  for (const [options, message] of wrong) {
    const make = () => sessionConsole(options as ConsoleOptions);
    expect(make).toThrow(expect.objectContaining({ code: "ERR_INVALID_OPTION" }));
    expect(make).toThrow(message);
  }
});
