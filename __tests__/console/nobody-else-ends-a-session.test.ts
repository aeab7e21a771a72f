import express from "express";
import { type AuditEntry, sessionConsole } from "../../lib/console/index.js";
import type { RedisStore } from "../../lib/index.js";
import { ask, formOf, linksTo, OWN, openConsole, send, serve } from "../support/console.js";
import { type Server, startServer } from "../support/servers.js";
import { connect, makeStore, sessionOf, type TestClient } from "../support/store.js";

let client: TestClient;
let store: RedisStore<TestClient>;
let server: Server;
beforeAll(async () => {
  // Its own: a page of a server that others use may be empty.
  server = await startServer();
  client = await connect(6, server.url);
});
afterAll(() => server.stop());
beforeEach(async () => {
  store = makeStore(client, {
    userId: (session) => (session as { user?: string }).user,
    endings: { keepFor: 60 },
  });
  for (const sid of ["one", "two", "three"]) await store.set(sid, sessionOf({ user: "ada" }));
  await store.set("other", sessionOf({ user: "bob" }));
});
afterEach(() => store.clear());

const warnings: string[] = [];
beforeEach(() => {
  warnings.length = 0;
  jest
    .spyOn(process, "emitWarning")
    .mockImplementation((warning) => void warnings.push(String(warning)));
});
afterEach(() => jest.restoreAllMocks());

const left = async () => (await store.ids()).toSorted();
const ALL = ["one", "other", "three", "two"];

/** The page of the first session of ada. */
async function pageOfSession(url: string): Promise<string> {
  const list = await ask(`${url}?at=user&id=ada`);
  const [link = ""] = linksTo("session", list.body);
  return (await ask(url + link)).body;
}

describe("who may", () => {
  const denied: [string, () => unknown][] = [
    ["null", () => null],
    ["undefined", () => undefined],
    ["true", () => true],
    ["a role that there is not", () => ({ role: "admin", actor: "eve" })],
    ["a writer without a name", () => ({ role: "write" })],
    ["a writer with an empty name", () => ({ role: "write", actor: "" })],
    ["a name that is no text", () => ({ role: "write", actor: { toString: () => "eve" } })],
    ["a reader whose name is no text", () => ({ role: "read", actor: 1 })],
    ["roles in a list", () => ["write"]],
    ["a text", () => "write"],
    [
      "an answer that throws when it is read",
      () => ({
        get role() {
          throw new Error("secret");
        },
      }),
    ],
    [
      "a throw",
      () => {
        throw new Error("secret");
      },
    ],
    ["a rejection", () => Promise.reject(new Error("secret"))],
    ["no answer in time", () => new Promise(() => {})],
  ];
  test.each(denied)("authorize that gives %s denies everything", async (name, authorize) => {
    const { url, heard } = await openConsole(store, {
      authorize: authorize as never,
      timeout: 50,
    });
    for (const link of ["", "?at=list", "?at=user&id=ada", "?at=style", "?at=icon", "?at=none"]) {
      const { status, body } = await ask(url + link);
      expect(status).toBe(403);
      expect(body).not.toMatch(/\bada\b|secret|test:/);
    }
    const may = await openConsole(store, { key: "k".repeat(32) });
    const of = formOf("End this session", await pageOfSession(may.url));
    const writer = await openConsole(store, {
      authorize: authorize as never,
      timeout: 50,
      key: "k".repeat(32),
    });
    expect((await send(writer.url, of)).status).toBe(403);
    expect(heard).toEqual([]);
    expect(await left()).toEqual(ALL);
    // Whoever set it up learns why, once and without what was thrown.
    expect(new Set(warnings).size).toBe(name === "null" ? 0 : 1);
    expect(warnings.join()).not.toContain("secret");
  });

  test("authorize is asked on every request, with the request, and may be async", async () => {
    const asked: (string | undefined)[] = [];
    const { url } = await openConsole(store, {
      authorize: async (request) => {
        asked.push(request.url);
        await Promise.resolve();
        return asked.length < 3 ? { role: "read" } : null;
      },
    });
    expect((await ask(url)).status).toBe(200);
    expect((await ask(`${url}?at=style`)).status).toBe(200);
    expect((await ask(url)).status).toBe(403);
    expect(asked).toEqual(["/", "/?at=style", "/"]);
  });

  test("a reader sees no form, and ends nothing with one of a writer", async () => {
    const key = "k".repeat(32);
    const writer = await openConsole(store, { key });
    const of = formOf("End this session", await pageOfSession(writer.url));
    const reader = await openConsole(store, { key, authorize: () => ({ role: "read" }) });
    expect(await pageOfSession(reader.url)).not.toMatch(/<form method="post"/);
    expect((await ask(`${reader.url}?at=user&id=ada`)).body).not.toMatch(/<form method="post"/);
    expect((await send(reader.url, of)).status).toBe(403);
    expect(reader.heard).toEqual([]);
    expect(await left()).toEqual(ALL);
    expect((await send(writer.url, of)).status).toBe(303);
  });
});

describe("where a form comes from", () => {
  const { "Content-Type": type } = OWN;
  const foreign: [string, (host: string) => Record<string, string>][] = [
    ["another site", () => ({ "Sec-Fetch-Site": "cross-site" })],
    ["a neighbouring subdomain", () => ({ "Sec-Fetch-Site": "same-site" })],
    ["nowhere", () => ({ "Sec-Fetch-Site": "none" })],
    [
      "another site that has the right Origin",
      (host) => ({ "Sec-Fetch-Site": "cross-site", Origin: `http://${host}` }),
    ],
    ["an old browser on another site", () => ({ Origin: "http://evil.example" })],
    ["an old browser on another port", () => ({ Origin: "http://127.0.0.1:1" })],
    ["a sandboxed frame", () => ({ Origin: "null" })],
    ["no origin at all", () => ({})],
    ["an origin that is the host in words only", (host) => ({ Origin: `x:${host}` })],
    ["an origin with the host as its user", (host) => ({ Origin: `http://${host}@evil.example` })],
  ];
  test.each(foreign)("a form of %s ends nothing", async (_, headers) => {
    const { url, heard } = await openConsole(store);
    const of = formOf("End this session", await pageOfSession(url));
    const { host } = new URL(url);
    expect((await send(url, of, { "Content-Type": type, ...headers(host) })).status).toBe(403);
    expect(heard).toEqual([]);
    expect(await left()).toEqual(ALL);
  });

  test("an old browser's Origin is compared with the Host, or with the option origin", async () => {
    const { url } = await openConsole(store);
    const of = formOf("End this session", await pageOfSession(url));
    const Origin = new URL(url).origin;
    expect((await send(url, of, { "Content-Type": type, Origin })).status).toBe(303);
    expect(await left()).toHaveLength(3);

    const proxied = await openConsole(store, { origin: "https://admin.example" });
    const its = formOf("End this session", await pageOfSession(proxied.url));
    const post = (from: string) => send(proxied.url, its, { "Content-Type": type, Origin: from });
    expect((await post(new URL(proxied.url).origin)).status).toBe(403);
    expect((await post("http://admin.example")).status).toBe(403);
    expect((await post("https://admin.example")).status).toBe(303);
    expect(await left()).toHaveLength(2);
  });

  test("no GET, HEAD, PUT or DELETE ends anything", async () => {
    const { url, heard } = await openConsole(store);
    const of = formOf("End this session", await pageOfSession(url));
    for (const method of ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"]) {
      const { status } = await ask(`${url}?of=${of}`, {
        method,
        headers: OWN,
      });
      expect([method, status]).toEqual([method, /GET|HEAD/.test(method) ? 200 : 405]);
    }
    expect(heard).toEqual([]);
    expect(await left()).toEqual(ALL);
  });

  test("a form of 1 MB is refused, with its length told and without, and the server goes on", async () => {
    const { url, heard } = await openConsole(store);
    const body = `of=${"x".repeat(1_000_000)}`;
    expect((await ask(url, { method: "POST", headers: OWN, body })).status).toBe(413);
    const headers = { ...OWN, "Transfer-Encoding": "chunked" };
    expect((await ask(url, { method: "POST", headers, body })).status).toBe(413);
    expect((await ask(url)).status).toBe(200);
    expect(heard).toEqual([]);
  });

  test("what is no form of the console is refused", async () => {
    const { url } = await openConsole(store);
    const of = formOf("End this session", await pageOfSession(url));
    const json = { ...OWN, "Content-Type": "application/json" };
    expect(
      (await ask(url, { method: "POST", headers: json, body: JSON.stringify({ of }) })).status,
    ).toBe(415);
    expect((await ask(url, { method: "POST", headers: OWN, body: "" })).status).toBe(410);
    expect((await ask(url, { method: "POST", headers: OWN, body: "of=x&of[]=y" })).status).toBe(
      410,
    );
    expect(await left()).toEqual(ALL);
  });

  test("a form that the app has read already is taken", async () => {
    const app = express().use(express.urlencoded({ extended: true }));
    app.use("/c", sessionConsole({ store, authorize: () => ({ role: "write", actor: "grace" }) }));
    const url = `${await serve(app)}/c`;
    const of = formOf("End this session", await pageOfSession(url));
    const odd = await ask(url, { method: "POST", headers: OWN, body: `of[x]=${of}` });
    expect(odd.status).toBe(410);
    expect((await send(url, of)).status).toBe(303);
    expect(await left()).toHaveLength(3);
  });
});

describe("what is sealed", () => {
  test("a form ends something once, also where the user has logged in again since", async () => {
    const { url, heard } = await openConsole(store);
    const all = formOf("End all sessions of ada", (await ask(`${url}?at=user&id=ada`)).body);
    const one = formOf("End this session", await pageOfSession(url));
    expect((await send(url, one)).status).toBe(303);
    expect((await send(url, all)).status).toBe(303);
    expect(await left()).toEqual(["other"]);
    await store.set("again", sessionOf({ user: "ada" }));
    const before = heard.length;
    // Also where its text is written in another way that means the same.
    for (const form of [one, all, `${all}=`, `${all}!`]) {
      const again = await send(url, form);
      expect(again.status).toBe(409);
      expect(again.body).toContain("This form was sent before. Nothing more was ended.");
    }
    expect(heard).toHaveLength(before);
    expect(await left()).toEqual(["again", "other"]);
  });

  test("a form that was sent twice at the same time ends something once", async () => {
    const { url, heard } = await openConsole(store);
    const of = formOf("End all sessions of ada", (await ask(`${url}?at=user&id=ada`)).body);
    const answers = await Promise.all([send(url, of), send(url, of), send(url, of)]);
    const statuses = answers.map(({ status }) => status);
    expect(statuses.toSorted((a, b) => a - b)).toEqual([303, 409, 409]);
    expect(heard.filter(({ event }) => event === "intent")).toHaveLength(1);
  });

  test("a form of a session that is over by then says so", async () => {
    const { url, heard } = await openConsole(store);
    const of = formOf("End this session", await pageOfSession(url));
    await store.clear();
    const { headers } = await send(url, of);
    const { body } = await ask(url + String(headers.location));
    expect(body).toContain("There was no session left to end.");
    expect(heard.at(-1)).toMatchObject({ event: "outcome", ended: 0 });
  });

  test("a name holds for an hour, in its own console, and for its own purpose", async () => {
    const { url, heard } = await openConsole(store);
    const page = await pageOfSession(url);
    const of = formOf("End this session", page);
    const [link = ""] = linksTo("session", (await ask(`${url}?at=list`)).body);
    const name = new URLSearchParams(link).get("name") ?? "";
    const [, ...rest] = of;

    const stranger = await openConsole(store);
    const neighbour = makeStore(client);
    const key = "k".repeat(32);
    const withKey = await openConsole(store, { key });
    const ofWithKey = formOf("End this session", await pageOfSession(withKey.url));
    const another = await openConsole(neighbour, { key });
    const refused = [
      [url, name],
      [url, `A${rest.join("")}`],
      [url, of.slice(0, -4)],
      [stranger.url, of],
      [another.url, ofWithKey],
    ] as const;
    for (const [where, what] of refused) expect((await send(where, what)).status).toBe(410);
    expect((await ask(stranger.url + link)).status).toBe(410);
    expect((await ask(`${url}?at=session&name=${of}`)).status).toBe(410);

    const now = Date.now();
    const clock = jest.spyOn(Date, "now").mockReturnValue(now + 3_600_001);
    expect((await send(url, of)).status).toBe(410);
    expect((await ask(url + link)).status).toBe(410);
    clock.mockRestore();
    expect(heard).toEqual([]);
    expect(await left()).toEqual(ALL);
    // The same key in another process, here another console, will do.
    expect((await send((await openConsole(store, { key })).url, ofWithKey)).status).toBe(303);
  });
});

describe("what is ended", () => {
  const ended = async (of: string, url: string) => {
    const { status, headers } = await send(url, of);
    expect(status).toBe(303);
    return (await ask(url + String(headers.location))).body;
  };

  test("one session; the app remembers that it was revoked", async () => {
    const { url } = await openConsole(store);
    const [link = ""] = linksTo("session", (await ask(`${url}?at=user&id=bob`)).body);
    const { body } = await ask(url + link);
    expect(await ended(formOf("End this session", body), url)).toContain("1 session ended.");
    expect(await left()).toEqual(["one", "three", "two"]);
    expect(await store.whyGone("other")).toMatchObject({ reason: "revoked" });
    const gone = await ask(url + link);
    expect(gone.status).toBe(404);
    expect(gone.body).toContain("This session is over: revoked.");
  });

  test("a reason goes to audit, and to whyGone() where the store remembers it", async () => {
    const post = (url: string, of: string, because: string) => {
      const body = new URLSearchParams({ of, because }).toString();
      return ask(url, { method: "POST", headers: OWN, body });
    };
    const { url, heard } = await openConsole(store);
    const long = await post(
      url,
      formOf("End this session", await pageOfSession(url)),
      "x".repeat(501),
    );
    expect(long.status).toBe(400);
    expect(await left()).toEqual(ALL);
    const page = await pageOfSession(url);
    await post(url, formOf("End all other sessions of ada", page), " stolen <phone> ");
    expect(heard.map(({ because }) => because)).toEqual(["stolen <phone>", "stolen <phone>"]);
    const gone = ALL.filter((sid) => sid !== "other");
    const reasons = await Promise.all(gone.map((sid) => store.whyGone(sid)));
    expect(reasons.filter(Boolean)).toEqual([
      expect.objectContaining({ reason: "revoked", because: "stolen <phone>" }),
      expect.objectContaining({ reason: "revoked", because: "stolen <phone>" }),
    ]);

    const forgetful = makeStore(client, {
      userId: (session) => (session as { user?: string }).user,
    });
    await forgetful.set("one", sessionOf({ user: "ada" }));
    const other = await openConsole(forgetful);
    const of = formOf("End this session", await pageOfSession(other.url));
    expect((await post(other.url, of, "a reason")).status).toBe(303);
    expect(other.heard.at(-1)).toMatchObject({ ended: 1, because: "a reason" });
  });

  test("all others of a user", async () => {
    const { url } = await openConsole(store);
    const body = await pageOfSession(url);
    expect(await ended(formOf("End all other sessions of ada", body), url)).toContain(
      "2 sessions ended.",
    );
    const stay = await left();
    expect(stay).toHaveLength(2);
    const [stays = ""] = stay.filter((sid) => sid !== "other");
    expect(body).toContain(store.handleOf(stays));
  });

  test("all of a user", async () => {
    const { url } = await openConsole(store);
    const { body } = await ask(`${url}?at=user&id=ada`);
    const done = await ended(formOf("End all sessions of ada", body), url);
    expect(done).toContain("3 sessions ended.");
    expect(await left()).toEqual(["other"]);
  });
});

describe("audit", () => {
  test("it hears intent and outcome, and nothing is ended before it has answered", async () => {
    const heard: [AuditEntry, string[]][] = [];
    const { url } = await openConsole(store, {
      audit: async (entry) => {
        await new Promise((resolve) => setTimeout(resolve, 20));
        heard.push([entry, await left()]);
      },
    });
    const page = await pageOfSession(url);
    const handle = /<code>(h[\w-]{43})<\/code>/.exec(page)?.[1];
    await send(url, formOf("End all other sessions of ada", page));
    const entry = { action: "endOthers", actor: "grace", user: "ada", handle };
    expect(heard).toEqual([
      [{ ...entry, event: "intent" }, ALL],
      [{ ...entry, event: "outcome", ended: 2 }, await left()],
    ]);
    expect(JSON.stringify(heard.map(([one]) => one))).not.toMatch(/one|two|three/);
  });

  test.each([
    [
      "throws",
      () => {
        throw new Error("secret");
      },
    ],
    ["rejects", () => Promise.reject(new Error("secret"))],
    ["hangs", () => new Promise(() => {})],
  ])("if it %s, nothing is ended", async (_, audit) => {
    const { url } = await openConsole(store, { audit, timeout: 50 });
    const one = formOf("End this session", await pageOfSession(url));
    const all = formOf("End all sessions of ada", (await ask(`${url}?at=user&id=ada`)).body);
    for (const form of [one, all]) {
      const { status, body } = await send(url, form);
      expect(status).toBe(503);
      expect(body).toContain("Nothing was ended.");
      expect(body).not.toContain("secret");
    }
    expect(await left()).toEqual(ALL);
  });

  test("a form that ended nothing, since audit threw or Redis was silent, can be sent again", async () => {
    let isBroken = true;
    const { url } = await openConsole(store, {
      audit: () => {
        if (isBroken) throw new Error("no");
      },
    });
    const of = formOf("End this session", await pageOfSession(url));
    expect((await send(url, of)).status).toBe(503);
    isBroken = false;
    const failure = Object.assign(new Error("no"), { name: "StoreError", code: "ERR_TIMEOUT" });
    jest.spyOn(store, "destroy").mockImplementationOnce(() => Promise.reject(failure) as never);
    expect((await send(url, of)).status).toBe(503);
    expect((await send(url, of)).status).toBe(303);
    expect(await left()).toHaveLength(3);
  });

  test("if it does not take the outcome, the page says what was done", async () => {
    const { url } = await openConsole(store, {
      audit: ({ event }) => {
        if (event === "outcome") throw new Error("secret");
      },
    });
    const { status, body } = await send(url, formOf("End this session", await pageOfSession(url)));
    expect(status).toBe(500);
    expect(body).toContain("1 session ended, and audit() did not take the outcome.");
    expect(await left()).toHaveLength(3);
  });

  test("it hears what failed, by its code", async () => {
    const { url, heard } = await openConsole(store);
    const of = formOf("End this session", await pageOfSession(url));
    const failure = Object.assign(new Error("no answer"), {
      name: "StoreError",
      code: "ERR_TIMEOUT",
    });
    jest.spyOn(store, "destroy").mockImplementation(() => Promise.reject(failure) as never);
    const { status, body } = await send(url, of);
    expect(status).toBe(503);
    expect(body).toContain("no answer (ERR_TIMEOUT)");
    expect(heard.at(-1)).toMatchObject({ event: "outcome", error: "ERR_TIMEOUT" });
  });
});
