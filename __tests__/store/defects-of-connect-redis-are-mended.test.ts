import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { RequestHandler } from "express";
import type { SessionData } from "express-session";
import supertest from "supertest";
import { RedisStore, type RedisStoreOptions } from "../../lib/index.js";
import { type Build, build } from "../support/build.js";
import {
  connect,
  freshPrefix,
  inMs,
  makeApp,
  makeStore,
  rawOf,
  read,
  refusal,
  sessionOf,
  type TestClient,
  until,
  url,
  visit,
} from "../support/store.js";

// The defects of connect-redis 10.0.0 that a store must not have, each as the promise it broke.

let client: TestClient;
let built: Build;
beforeAll(async () => {
  [client, built] = await Promise.all([connect(), build()]);
});
afterAll(() => built.remove());

/** A script with `store`, a connected `client` and `session`; it ends by calling `report`. */
const script = (body: string) => `
  import { setImmediate as turn } from "node:timers/promises";
  import { promisify } from "node:util";
  import http from "node:http";
  import expressSession from "express-session";
  import { createClient } from "redis";
  import { RedisStore } from "./index.js";
  const uncaught = [], rejected = [], warnings = [];
  process.on("uncaughtException", (error) => uncaught.push(error.message));
  process.on("unhandledRejection", (error) => rejected.push(String(error)));
  process.on("warning", (warning) => warnings.push(warning.code ?? warning.message));
  const client = await createClient({ url: ${JSON.stringify(url)} }).connect();
  const prefix = ${JSON.stringify(freshPrefix())};
  const store = new RedisStore({ client, prefix });
  const unconnected = new RedisStore({ client: createClient(), prefix, timeout: 50 });
  const session = (data) => ({ cookie: { originalMaxAge: null }, ...data });
  /** Until everything that was started has ended. */
  async function settle() {
    for (let n = 0; n < 5; n++) { await client.ping(); await turn(); }
  }
  async function report(result) {
    await settle();
    await new RedisStore({ client, prefix }).clear();
    client.destroy();
    process.stdout.write(JSON.stringify({ ...result, uncaught, rejected, warnings }));
  }
  ${body}
`;

interface Report {
  calls: Record<string, unknown[]>;
  returned: Record<string, string>;
  results: Record<string, unknown>;
  uncaught: string[];
  rejected: string[];
  warnings: string[];
}

const everyMethod = `
  await store.set("kept", session());
  const methods = {
    get: ["kept"], set: ["new", session()], touch: ["kept", session()], destroy: ["new"],
    all: [], length: [], ids: [], clear: [],
  };
  // Nothing to send: this one calls back before it returns.
  const again = await store.get("kept");
  await store.touch("kept", again);
  methods["touch at once"] = ["kept", again];
  const impossible = {
    get: [""], set: ["x", 1], touch: [7, session()], "touch no date": ["x", session({ cookie: { expires: "?" } })],
    destroy: [null],
  };
`;

describe("1: a callback that throws", () => {
  test.each([
    ["after a success", "methods", "fine"],
    ["after a refusal", "impossible", expect.stringMatching(/^ERR_INVALID_S/)],
    ["after an outage", "unreachable", "ERR_UNAVAILABLE"],
  ])(
    "is called once, and what it throws surfaces as the app's own error: %s",
    async (_, which, outcome) => {
      const { calls, uncaught, rejected } = await built.run<Report>(
        script(`${everyMethod}
        const calls = {};
        const { "touch at once": atOnce, ...unreachable } = methods;
        const args = { methods, impossible, unreachable }.${which};
        const tested = "${which}" === "unreachable" ? unconnected : store;
        for (const name of Object.keys(args)) {
          calls[name] = [];
          try {
            tested[name.split(" ")[0]](...args[name], (error) => {
              calls[name].push(error?.code ?? "fine");
              throw new Error("thrown by " + name);
            });
          } catch (error) {
            uncaught.push(error.message);
          }
          while (calls[name].length === 0) await turn();
          await settle();
        }
        await report({ calls });`),
      );
      const names = Object.keys(calls);
      expect(names.length).toBeGreaterThanOrEqual(5);
      for (const name of names) expect([name, calls[name]]).toEqual([name, [outcome]]);
      expect(uncaught).toEqual(names.map((name) => `thrown by ${name}`));
      expect(rejected).toEqual([]);
    },
  );

  test("runs next once, under plain http too", async () => {
    const { results, uncaught } = await built.run<Report>(
      script(`
        let nexts = 0;
        const middleware = expressSession({ secret: "s", resave: false, saveUninitialized: true, store });
        const server = http.createServer((req, res) => middleware(req, res, (error) => {
          nexts++;
          res.end("answered");
          if (nexts > 1) throw new Error(error ? "next got " + error.message : "thrown by the handler");
        }));
        await new Promise((done) => server.listen(0, "127.0.0.1", done));
        const at = "http://127.0.0.1:" + server.address().port;
        const first = await fetch(at);
        const cookie = first.headers.get("set-cookie").split(";")[0];
        await fetch(at, { headers: { cookie } });
        await settle();
        server.close();
        server.closeAllConnections();
        await report({ results: { nexts } });`),
    );
    expect(results).toEqual({ nexts: 2 });
    expect(uncaught).toEqual(["thrown by the handler"]);
  });
});

describe("2: an error", () => {
  test("goes to the callback alone, and never becomes an unhandled rejection", async () => {
    const { calls, rejected, uncaught } = await built.run<Report>(
      script(`${everyMethod}
        const calls = {};
        for (const [name, args] of Object.entries(impossible)) {
          calls[name] = [];
          store[name.split(" ")[0]](...args, (error) => calls[name].push(error.code));
        }
        for (const [name, args] of Object.entries(methods)) {
          const label = "unreachable " + name;
          if (name === "touch at once") continue;
          calls[label] = [];
          unconnected[name](...args, (error) => calls[label].push(error.code));
        }
        while (Object.values(calls).some((list) => list.length === 0)) await turn();
        await report({ calls });`),
    );
    for (const [name, codes] of Object.entries(calls)) {
      const code = name.startsWith("unreachable")
        ? "ERR_UNAVAILABLE"
        : expect.stringContaining("INVALID");
      expect([name, codes]).toEqual([name, [code]]);
    }
    expect(rejected).toEqual([]);
    expect(uncaught).toEqual([]);
  });

  test("of req.session.destroy() without a callback does not end the process", async () => {
    const { results, rejected, uncaught } = await built.run<Report>(
      script(`
        const req = { sessionID: "kept", sessionStore: unconnected };
        req.session = unconnected.createSession(req, session());
        req.session.destroy();
        // Without a second argument somebody waits for the promise.
        const code = await unconnected.destroy("kept").catch((error) => error.code);
        await report({ results: { code } });`),
    );
    expect(results).toEqual({ code: "ERR_UNAVAILABLE" });
    expect(rejected).toEqual([]);
    expect(uncaught).toEqual([]);
  });

  test("is a rejection without a callback", async () => {
    const store = makeStore(client);
    expect((await refusal(store.get(""))).code).toBe("ERR_INVALID_SID");
    expect((await refusal(store.destroy(""))).code).toBe("ERR_INVALID_SID");
    expect((await refusal(store.touch("", sessionOf()))).code).toBe("ERR_INVALID_SID");
  });

  test.each(["set", "touch"] as const)(
    "thrown by a ttl function reaches the callback of %s",
    async (method) => {
      const cause = new Error("no ttl for you");
      const store = makeStore(client, {
        ttl: () => {
          throw cause;
        },
      });
      const error = await new Promise((resolve) => {
        void store[method]("sid", sessionOf(), resolve);
      });
      expect(error).toMatchObject({ code: "ERR_INVALID_SESSION", cause });
      expect(await store.get("sid")).toBeNull();
    },
  );
});

describe("3 and 4: a session that is in use", () => {
  const save: RequestHandler = (req, res, next) => {
    req.session.save((error: unknown) => (error ? next(error) : res.send("saved")));
  };

  test("is not deleted by a save after its first maxAge has passed", async () => {
    const store = makeStore(client, { touchAfter: 0 });
    const options = { cookie: { maxAge: 1000 } };
    const app = makeApp(store, { "/visit": visit, "/read": read, "/save": save }, options);
    const agent = supertest.agent(app);
    const first = await agent.get("/visit");
    const cookie = first.headers["set-cookie"]?.[0]?.split(";")[0] ?? "";
    const start = Date.now();
    await until(async () => {
      await new Promise((resolve) => setTimeout(resolve, 100));
      await supertest(app).get("/read").set("Cookie", cookie);
      return Date.now() - start > 1500;
    });
    const [sid = ""] = await store.ids();
    const expires = new Date((await store.get(sid))?.cookie.expires ?? 0);
    expect(expires.getTime()).toBeGreaterThan(Date.now());
    await supertest(app).get("/save").set("Cookie", cookie);
    expect((await supertest(app).get("/visit").set("Cookie", cookie)).text).toBe("2");
    expect(app.errors).toEqual([]);
  });

  test("is not shortened by a slow request that saves what it loaded long ago", async () => {
    const store = makeStore(client, { touchAfter: 0 });
    const raw = rawOf(client);
    const life = { originalMaxAge: 60_000, expires: inMs(60_000) };
    await store.set("sid", sessionOf({}, life));
    const now = Date.now();
    const clock = jest.spyOn(Date, "now").mockReturnValue(now - 59_000);
    const slow = (await store.get("sid")) as SessionData & { done?: boolean };
    clock.mockRestore();
    expect(new Date(slow.cookie.expires ?? 0).getTime()).toBe(now + 1000);
    slow.done = true;
    expect(await store.set("sid", slow)).toBe("OK");
    expect(await raw.pttl(`${store.prefix}sid`)).toBeGreaterThan(50_000);
  });
});

describe("6: a client of redis 4", () => {
  test("gives sessions a TTL, and clear() removes only its own", async () => {
    // A database of its own: the defect removes keys named like the characters of the prefix.
    const old = await connect(4, `${url}/4`);
    const raw = rawOf(old);
    const prefix = "sess4:";
    const store = new RedisStore({ client: old, prefix });
    const foreign = [...new Set(`${prefix}abc`), "other", "sess4"];
    for (const key of foreign) await raw.set(key, "foreign");
    await store.set("abc", sessionOf());
    await store.set("def", sessionOf({}, { expires: inMs(5000) }));
    expect(await raw.pttl(`${prefix}abc`)).toBeGreaterThan(86_000_000);
    expect(await raw.pttl(`${prefix}def`)).toBeLessThanOrEqual(5000);
    expect(await store.clear()).toBe(2);
    for (const key of foreign) expect([key, await raw.get(key)]).toEqual([key, "foreign"]);
    await raw.send("DEL", ...foreign);
  });
});

describe("10: a prefix with glob characters", () => {
  const prefixes: [prefix: string, foreign: string][] = [
    ["app[1]:", "app1:x"],
    ["app*:", "app2:x"],
    ["app?:", "app3:x"],
    ["app\\:", "app:x"],
    ["app[^a]:", "appb:x"],
    ["a[b-d]:", "ac:x"],
    ["\\*", "*x"],
    ["[", "x"],
  ];
  test.each(prefixes)("%s lists and clears its own sessions and no others", async (text, other) => {
    const base = freshPrefix();
    const store = makeStore(client, { prefix: base + text });
    const raw = rawOf(client);
    await raw.set(base + other, '{"cookie":{}}');
    await store.set("own", sessionOf());
    expect(await store.ids()).toEqual(["own"]);
    expect(await store.length()).toBe(1);
    expect((await store.all()).map(({ id }) => id)).toEqual(["own"]);
    expect(await store.clear()).toBe(1);
    expect(await raw.get(base + other)).toBe('{"cookie":{}}');
    expect(await store.get("own")).toBeNull();
    await raw.send("DEL", base + other);
  });
});

describe("11: an expiry that makes no sense", () => {
  test.each([
    ["text", "soon"],
    ["true", true],
    ["NaN", Number.NaN],
    ["an object", {}],
    ["an invalid Date", new Date("?")],
  ])("is refused and what was stored stays: %s", async (_, expires) => {
    const store = makeStore(client);
    await store.set("sid", sessionOf({ kept: true }));
    for (const sid of ["sid", "other"]) {
      const bad = sessionOf({}, { expires });
      expect((await refusal(store.set(sid, bad))).code).toBe("ERR_INVALID_SESSION");
      expect((await refusal(store.touch(sid, bad))).code).toBe("ERR_INVALID_SESSION");
    }
    expect(await store.all()).toEqual([
      { id: "sid", kept: true, cookie: { originalMaxAge: null } },
    ]);
  });

  test.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])("ttl: %p is refused", (ttl) => {
    expect(() => makeStore(client, { ttl })).toThrow(
      expect.objectContaining({ code: "ERR_INVALID_OPTION" }),
    );
  });

  test("ttl: 1.5 is one and a half seconds", async () => {
    const store = makeStore(client, { ttl: 1.5 });
    await store.set("sid", sessionOf());
    const left = await rawOf(client).pttl(`${store.prefix}sid`);
    expect(left).toBeGreaterThan(1000);
    expect(left).toBeLessThanOrEqual(1500);
  });

  test.each([
    undefined,
    null,
    "60",
    Number.NaN,
    Number.POSITIVE_INFINITY,
    1e300,
    Promise.resolve(60),
  ])("a ttl function that gives %p is an error", async (result) => {
    const ttl = (() => result) as unknown as () => number;
    const store = makeStore(client, { ttl });
    expect((await refusal(store.set("sid", sessionOf()))).code).toBe("ERR_INVALID_SESSION");
    expect((await refusal(store.touch("sid", sessionOf()))).code).toBe("ERR_INVALID_SESSION");
    expect(await store.length()).toBe(0);
  });
});

test("12: a serializer may be async", async () => {
  const store = makeStore(client, {
    serializer: {
      parse: async (text: string) => JSON.parse(text) as unknown,
      stringify: async (session) => JSON.stringify(session),
    },
  });
  await store.set("sid", sessionOf({ a: 1 }));
  expect(await store.get("sid")).toEqual(sessionOf({ a: 1 }));
  expect(await store.all()).toEqual([{ id: "sid", a: 1, cookie: { originalMaxAge: null } }]);
});

test("13: one corrupt row fails no listing, and a session keeps its own id", async () => {
  const store = makeStore(client);
  const raw = rawOf(client);
  await store.set("fine", sessionOf({ id: "its own" }));
  await raw.set(`${store.prefix}corrupt`, "{");
  await raw.send("RPUSH", `${store.prefix}list`, "1");
  expect(await store.all()).toEqual([{ id: "its own", cookie: { originalMaxAge: null } }]);
  expect((await store.ids()).sort()).toEqual(["corrupt", "fine"]);
  expect(await store.length()).toBe(2);
  await raw.send("DEL", `${store.prefix}list`);
});

describe("14: what cannot work is refused at once", () => {
  test("a store without a client", () => {
    const none = {} as RedisStoreOptions;
    expect(() => new RedisStore(none)).toThrow(
      expect.objectContaining({
        code: "ERR_INVALID_OPTION",
        message: expect.stringContaining('"client"'),
      }),
    );
  });

  test.each([undefined, null, "", 7, {}, ["sid"]])("a session id that is %p", async (value) => {
    const store = makeStore(client);
    const sid = value as string;
    for (const operation of [
      store.get(sid),
      store.set(sid, sessionOf()),
      store.touch(sid, sessionOf()),
      store.destroy(sid),
    ]) {
      expect((await refusal(operation)).code).toBe("ERR_INVALID_SID");
    }
    expect(await store.length()).toBe(0);
  });
});

test("15: touch tells a missing session from a renewed one", async () => {
  const store = makeStore(client);
  expect(await store.touch("none", sessionOf())).toBe("EXPIRED");
  await store.set("sid", sessionOf());
  expect(await store.touch("sid", sessionOf())).toBe("OK");
  await store.destroy("sid");
  expect(await store.touch("sid", sessionOf())).toBe("EXPIRED");
  expect(await store.length()).toBe(0);
});

test("18: the published types contain no any and import no client", async () => {
  const files = (await readdir(built.dir, { recursive: true })).filter(
    (file) => file.endsWith(".d.ts") && !file.startsWith("node_modules"),
  );
  expect(files).toContain("index.d.ts");
  const imports = new Set<string>();
  for (const file of files) {
    const text = await readFile(join(built.dir, file), "utf8");
    const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*|(["'])(?:(?!\1).)*\1(?=;?$)/gm, (match) =>
      match.startsWith("/") ? "" : match,
    );
    expect([file, code.match(/\bany\b/g)]).toEqual([file, null]);
    for (const [, name = ""] of code.matchAll(
      /(?:from|import|import\()\s*["']([^."'][^"']*)["']/g,
    )) {
      imports.add(name);
    }
    for (const [, name = ""] of code.matchAll(/reference types="([^"]+)"/g)) imports.add(name);
  }
  const packages = [...imports].filter((name) => !name.startsWith("node:"));
  expect(packages).toEqual(["express-session"]);
});

describe("19: with a callback", () => {
  test("every method returns undefined, and util.promisify does not warn", async () => {
    const { returned, results, warnings } = await built.run<Report>(
      script(`${everyMethod}
        const returned = {}, results = {};
        for (const [name, args] of Object.entries(methods)) {
          const method = name.split(" ")[0];
          returned[name] = typeof store[method](...args, () => "a result of the callback");
          await settle();
          results[name] = await promisify(store[method]).apply(store, args);
        }
        await report({ returned, results });`),
    );
    expect(new Set(Object.values(returned))).toEqual(new Set(["undefined"]));
    expect(Object.keys(returned)).toHaveLength(9);
    expect(results).toMatchObject({ get: {}, set: "OK", destroy: 0, "touch at once": "EXPIRED" });
    expect(warnings).toEqual([]);
  });
});
