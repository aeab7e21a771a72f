import { inspect } from "node:util";
import session, { type SessionData } from "express-session";
import fc from "fast-check";
import supertest from "supertest";
import { RedisStore, type SessionPage } from "../../lib/index.js";
import { type Build, build } from "../support/build.js";
import { record } from "../support/recording.js";
import {
  type AppSession,
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
  unlessSealed,
  until,
  url,
  visit,
} from "../support/store.js";

let client: TestClient;
let raw: ReturnType<typeof rawOf>;
beforeAll(async () => {
  client = await connect();
  raw = rawOf(client);
});

/** A store whose commands are written down. */
function recordedStore() {
  const recording = record(client);
  return { ...recording, store: makeStore(recording.client) };
}

/** What a method passes to its callback. */
function called<Result>(
  method: (callback: (error: Error | null, result?: Result) => void) => unknown,
): Promise<[error: Error | null, result: Result | undefined]> {
  return new Promise((resolve) => {
    expect(method((error, result) => resolve([error, result]))).toBeUndefined();
  });
}

test("the store is one of express-session, by name and by default", async () => {
  const library = await import("../../lib/index.js");
  expect(library.default).toBe(library.RedisStore);
  expect(makeStore(client)).toBeInstanceOf(session.Store);
});

describe("the methods", () => {
  test("answer as promises", async () => {
    const store = makeStore(client);
    expect(await store.get("sid")).toBeNull();
    expect(await store.set("sid", sessionOf({ a: [1, { b: null }] }))).toBe("OK");
    expect(await store.get("sid")).toEqual(sessionOf({ a: [1, { b: null }] }));
    expect(await store.touch("sid", sessionOf())).toBe("OK");
    expect(await store.touch("none", sessionOf())).toBe("EXPIRED");
    expect(await store.all()).toEqual([{ id: "sid", ...sessionOf({ a: [1, { b: null }] }) }]);
    expect(await store.length()).toBe(1);
    expect(await store.ids()).toEqual(["sid"]);
    expect(await store.destroy("sid")).toBe(1);
    expect(await store.destroy("sid")).toBe(0);
    expect(await store.clear()).toBe(0);
    await store.set("a", sessionOf());
    await store.set("b", sessionOf());
    expect(await store.clear()).toBe(2);
    expect(await store.all()).toEqual([]);
    expect(await store.ids()).toEqual([]);
    expect(await store.length()).toBe(0);
  });

  test("answer to callbacks", async () => {
    const store = makeStore(client);
    expect(await called((cb) => store.get("sid", cb))).toEqual([null, null]);
    expect(await called((cb) => store.set("sid", sessionOf(), cb))).toEqual([null, "OK"]);
    expect(await called((cb) => store.get("sid", cb))).toEqual([null, sessionOf()]);
    expect(await called((cb) => store.touch("sid", sessionOf(), cb))).toEqual([null, "OK"]);
    expect(await called((cb) => store.touch("no", sessionOf(), cb))).toEqual([null, "EXPIRED"]);
    expect(await called((cb) => store.all(cb))).toEqual([null, [{ id: "sid", ...sessionOf() }]]);
    expect(await called((cb) => store.length(cb))).toEqual([null, 1]);
    expect(await called((cb) => store.ids(cb))).toEqual([null, ["sid"]]);
    expect(await called((cb) => store.destroy("sid", cb))).toEqual([null, 1]);
    expect(await called((cb) => store.destroy("sid", cb))).toEqual([null, 0]);
    expect(await called((cb) => store.clear(cb))).toEqual([null, 0]);
  });

  test("that list by pages, ping and end by handle take callbacks", async () => {
    const store = makeStore(client, { userId: () => "ada" });
    await store.set("sid", sessionOf());
    const page = expect.objectContaining({ entries: expect.any(Array) });
    expect(await called((cb) => store.page(cb))).toEqual([null, page]);
    expect(await called((cb) => store.page({ limit: 1000 }, cb))).toEqual([null, page]);
    expect(await called((cb) => store.ping(cb))).toEqual([null, expect.any(Number)]);
    const handle = store.handleOf("sid");
    expect(await called((cb) => store.destroyOf("ada", handle, cb))).toEqual([null, 1]);
    expect(await called((cb) => store.destroyOf("ada", handle, cb))).toEqual([null, 0]);
  });

  test.each([
    { cursor: 7 },
    { cursor: "" },
    { cursor: "0" },
    { cursor: "1.0..x" },
    { cursor: "1.18446744073709551616.." },
    { cursor: "1.-1.." },
    { cursor: "1.0..\n" },
    { limit: 0 },
    { limit: 1001 },
    { limit: "10" },
    { from: 1 },
    null,
  ])("page(%j) is refused before Redis is asked", async (options) => {
    const { store, names } = recordedStore();
    const error = await refusal(store.page(options as never));
    expect(error.code).toBe("ERR_INVALID_OPTION");
    expect(names()).toEqual([]);
  });

  test("a listing by pages begins a server again that was started anew in between", async () => {
    const { store, names, commands } = recordedStore();
    await Promise.all(Array.from({ length: 50 }, (_, n) => store.set(`s${n}`, sessionOf())));
    const { cursor } = await store.page({ limit: 10 });
    names();
    const again = String(cursor).replace(/^(1\.\d+\.)[^.]*/, "$1otherrun");
    await store.page({ cursor: again, limit: 10 });
    const scans = commands.filter(([name]) => name === "SCAN").map(([, at]) => at);
    expect(scans.at(-1)).toBe("0");
    expect(scans).toHaveLength(3);
  });

  unlessSealed.test("a listing by pages counts the keys that hold no session", async () => {
    const store = makeStore(client);
    await store.set("sid", sessionOf());
    await rawOf(client).set(`${store.prefix}broken`, "{");
    const seen = { entries: 0, unreadable: 0 };
    let cursor: string | null = null;
    do {
      const page: SessionPage = await store.page({ cursor, limit: 1000 });
      seen.entries += page.entries.length;
      seen.unreadable += page.unreadable;
      ({ cursor } = page);
    } while (cursor !== null);
    expect(seen).toEqual({ entries: 1, unreadable: 1 });
  });

  test("tell errors to callbacks", async () => {
    const store = makeStore(client);
    const error = expect.objectContaining({ name: "StoreError", code: "ERR_INVALID_SID" });
    expect(await called((cb) => store.get("", cb))).toEqual([error, undefined]);
    expect(await called((cb) => store.set("", sessionOf(), cb))).toEqual([error, undefined]);
    expect(await called((cb) => store.touch("", sessionOf(), cb))).toEqual([error, undefined]);
    expect(await called((cb) => store.destroy("", cb))).toEqual([error, undefined]);
  });

  test("sessions() goes through all of them, and may be left early", async () => {
    const store = makeStore(client);
    const expires = inMs(60_000);
    await store.set("dated", sessionOf({ a: 1 }, { expires }));
    await store.set("plain", sessionOf({ a: 2 }));
    const seen = new Map<string, unknown>();
    for await (const { sid, session, expires: end } of store.sessions()) {
      seen.set(sid, (session as AppSession).a);
      const wanted = sid === "dated" ? expires.getTime() : Date.now() + 86_400_000;
      expect(Math.abs((end?.getTime() ?? 0) - wanted)).toBeLessThan(5000);
    }
    expect(seen).toEqual(
      new Map([
        ["dated", 1],
        ["plain", 2],
      ]),
    );
    for await (const { sid } of store.sessions()) {
      expect(["dated", "plain"]).toContain(sid);
      break;
    }
    for await (const entry of makeStore(client).sessions()) expect(entry).toBeUndefined();
  });
});

describe("what cannot be stored is refused, and what is there stays", () => {
  const noSessions = [undefined, null, 7, "text", true, [], () => {}];
  test.each(noSessions)("a session that is %p", async (value) => {
    const store = makeStore(client);
    await store.set("sid", sessionOf({ kept: true }));
    const bad = value as unknown as SessionData;
    for (const sid of ["sid", "new"]) {
      expect((await refusal(store.set(sid, bad))).code).toBe("ERR_INVALID_SESSION");
      expect((await refusal(store.touch(sid, bad))).code).toBe("ERR_INVALID_SESSION");
      const [error] = await called((cb) => store.set(sid, bad, cb));
      expect(error).toMatchObject({ code: "ERR_INVALID_SESSION" });
    }
    expect(await store.all()).toEqual([{ id: "sid", ...sessionOf({ kept: true }) }]);
  });

  const circular: Record<string, unknown> = {};
  circular.self = circular;
  test.each([
    ["a circle", { circular }],
    ["a bigint", { n: 1n }],
    [
      "a toJSON that throws",
      {
        toJSON: () => {
          throw new Error("no");
        },
      },
    ],
    ["a toJSON that gives nothing", { toJSON: () => undefined }],
  ])("a session with %s", async (_, data) => {
    const store = makeStore(client);
    await store.set("sid", sessionOf({ kept: true }));
    const loaded = (await store.get("sid")) as SessionData;
    for (const [sid, bad] of [
      ["new", sessionOf(data)],
      ["sid", Object.assign(loaded, data)],
    ] as const) {
      expect((await refusal(store.set(sid, bad))).code).toBe("ERR_INVALID_SESSION");
    }
    expect(await store.all()).toEqual([{ id: "sid", ...sessionOf({ kept: true }) }]);
    // The next writer is not stopped by the one that failed.
    expect(await store.set("sid", sessionOf({ next: 1 }))).toBe("OK");
    expect(await store.destroy("sid")).toBe(1);
  });
});

describe("session ids", () => {
  test("of any text are kept apart and listed as they are", async () => {
    const store = makeStore(client);
    const sids = [
      "a",
      "A",
      "a ",
      " a",
      "a\n",
      "a\0",
      "*",
      "a*",
      "[a]",
      "?",
      "\\",
      "ü",
      "🦊",
      ":",
      "sess:a",
    ];
    sids.push("x".repeat(5000), "__proto__", "constructor");
    for (const sid of sids) expect(await store.set(sid, sessionOf({ own: sid }))).toBe("OK");
    for (const sid of sids) expect(await store.get(sid)).toEqual(sessionOf({ own: sid }));
    expect((await store.ids()).sort()).toEqual([...sids].sort());
    expect((await store.all()).map(({ id }) => id).sort()).toEqual([...sids].sort());
    expect(await store.destroy("a*")).toBe(1);
    expect(await store.clear()).toBe(sids.length - 1);
  });

  test("are never whole in an error or an event", async () => {
    const server = { sid: "Ab3dEf6hIj9l-Ab3dEf6hIj9l_Ab3dEf" };
    const store = makeStore(client);
    const key = store.prefix + server.sid;
    const events: unknown[][] = [];
    for (const name of ["corrupt", "discarded", "merged"]) {
      store.on(name, (...args: unknown[]) => events.push([name, ...args]));
    }
    await store.set(server.sid, sessionOf());
    const loaded = (await store.get(server.sid)) as AppSession;
    const gone = (await store.get(server.sid)) as AppSession;
    await raw.set(key, "{");
    const errors = [await refusal(store.get(server.sid))];
    loaded.a = 1;
    errors.push(await refusal(store.set(server.sid, loaded)));
    await store.all();
    await raw.send("DEL", key);
    gone.a = 1;
    expect(await store.set(server.sid, gone)).toBe("GONE");
    await raw.send("RPUSH", key, "x");
    errors.push(await refusal(store.get(server.sid)));
    errors.push(await refusal(store.set(server.sid, loaded)));
    errors.push(await refusal(store.set(server.sid, sessionOf({}, { expires: "soon" }))));
    errors.push(await refusal(store.set(server.sid, sessionOf({ n: 1n }))));
    await until(() => events.length === 2);
    for (const error of errors) {
      expect(error.code).toMatch(/^ERR_/);
      expect(inspect(error, { depth: 9 })).not.toContain(server.sid.slice(0, 10));
      expect(inspect(error, { depth: 9 })).not.toContain(server.sid.slice(10));
    }
    expect(events.map(([name, sid]) => [name, sid])).toEqual([
      ["corrupt", "Ab3dEf…"],
      ["discarded", "Ab3dEf…"],
    ]);
    expect(inspect(events, { depth: 9 })).not.toContain(server.sid.slice(0, 10));
    await store.clear();
    await raw.send("DEL", key);
  });
});

describe("a value in Redis that is no session", () => {
  const values: [string, string | Buffer][] = [
    ["text", "hello"],
    ["nothing", ""],
    ["a number", "42"],
    ["a list", "[1,2]"],
    ["null", "null"],
    ["a string", '"session"'],
    ["truncated JSON", '{"cookie":{"originalMaxAge":nu'],
    ["binary", Buffer.from([0xff, 0x00, 0xfe, 0x7b])],
  ];

  test.each(values)("is an error for get, and is not deleted: %s", async (_, value) => {
    const store = makeStore(client);
    const key = `${store.prefix}sid`;
    await raw.set(key, value);
    const error = await refusal(store.get("sid"));
    expect(error).toMatchObject({ name: "StoreError", code: "ERR_CORRUPT_SESSION" });
    const [told] = await called((cb) => store.get("sid", cb));
    expect(told).toMatchObject({ code: "ERR_CORRUPT_SESSION" });
    expect(await raw.exists(key)).toBe(true);
    expect(await store.destroy("sid")).toBe(1);
  });

  test.each(values)("hides no other in a listing, and is reported: %s", async (_, value) => {
    const store = makeStore(client);
    const told: unknown[][] = [];
    store.on("corrupt", (...args: unknown[]) => told.push(args));
    await store.set("before", sessionOf({ n: 1 }));
    await raw.set(`${store.prefix}corrupt-one`, value);
    await store.set("with id", sessionOf({ n: 2 }));
    const all = await store.all();
    expect(all.map(({ id }) => id).sort()).toEqual(["before", "with id"]);
    const seen: string[] = [];
    for await (const { sid } of store.sessions()) seen.push(sid);
    expect(seen.sort()).toEqual(["before", "with id"]);
    await until(() => told.length === 2);
    for (const args of told) {
      expect(args).toEqual(["co…", expect.objectContaining({ code: "ERR_CORRUPT_SESSION" })]);
    }
    expect(await store.clear()).toBe(3);
  });

  test.each(values)(
    "that came into the place of a loaded one is not overwritten: %s",
    async (_, value) => {
      const store = makeStore(client);
      await store.set("sid", sessionOf());
      const loaded = (await store.get("sid")) as AppSession;
      await raw.set(`${store.prefix}sid`, value);
      // In the millisecond of the set a touch would have nothing to send.
      const then = Date.now();
      await until(() => Date.now() > then);
      loaded.a = 1;
      expect((await refusal(store.set("sid", loaded))).code).toBe("ERR_CORRUPT_SESSION");
      expect((await refusal(store.touch("sid", loaded))).code).toBe("ERR_CORRUPT_SESSION");
      expect(await raw.get(`${store.prefix}sid`)).toBe(value.toString());
      await store.clear();
    },
  );

  test("a key of another type is an error for get and is in no listing", async () => {
    const store = makeStore(client);
    const key = `${store.prefix}other`;
    await raw.send("RPUSH", key, "x");
    await store.set("sid", sessionOf());
    expect((await refusal(store.get("other"))).code).toBe("ERR_CORRUPT_SESSION");
    expect(await store.ids()).toEqual(["sid"]);
    expect(await store.length()).toBe(1);
    expect(await store.all()).toHaveLength(1);
    expect(await store.clear()).toBe(1);
    expect(await raw.exists(key)).toBe(true);
    await raw.send("DEL", key);
  });

  test("a key that is no text stops no listing", async () => {
    const store = makeStore(client);
    const key = Buffer.concat([Buffer.from(store.prefix), Buffer.from([0xff, 0xfe])]);
    await raw.send("SET", key, '{"cookie":{}}');
    await store.set("sid", sessionOf());
    expect((await store.all()).map(({ id }) => id)).toContain("sid");
    for await (const { sid } of store.sessions()) expect(sid).toBe("sid");
    await store.clear();
    expect(await store.get("sid")).toBeNull();
    await raw.send("DEL", key);
  });

  test("does not crash an app: it gets the error, and other sessions work", async () => {
    const store = makeStore(client);
    const app = makeApp(store, { "/visit": visit });
    const first = await supertest(app).get("/visit");
    const cookie = first.headers["set-cookie"]?.[0] ?? "";
    const [sid = ""] = await store.ids();
    await raw.set(store.prefix + sid, "{");
    const answer = await supertest(app).get("/visit").set("Cookie", cookie);
    expect([answer.status, answer.text]).toEqual([500, "ERR_CORRUPT_SESSION"]);
    expect(answer.headers["set-cookie"]).toBeUndefined();
    expect(await raw.get(store.prefix + sid)).toBe("{");
    expect((await supertest(app).get("/visit")).text).toBe("1");
  });
});

describe("many sessions", () => {
  const count = 12_000;
  const fill = (prefix: string) =>
    raw.send(
      "EVAL",
      "for n = 1, tonumber(ARGV[2]) do redis.call('SET', ARGV[1]..n, '{\"cookie\":{},\"n\":'..n..'}', 'PX', 600000) end",
      "0",
      prefix,
      String(count),
    );
  const numbers = Array.from({ length: count }, (_, n) => n + 1);

  test("are listed, counted and cleared, and no command grows with their number", async () => {
    const { client: recorded, commands } = record(client);
    const store = makeStore(recorded);
    await fill(store.prefix);
    expect(await store.length()).toBe(count);
    expect((await store.ids()).map(Number).sort((a, b) => a - b)).toEqual(numbers);
    const all = (await store.all()) as unknown as { id: string; n: number }[];
    expect(all.map(({ n }) => n).sort((a, b) => a - b)).toEqual(numbers);
    expect(all.every(({ id, n }) => id === String(n))).toBe(true);
    const seen = new Set<string>();
    for await (const { sid, expires } of store.sessions()) {
      seen.add(sid);
      expect(expires?.getTime()).toBeGreaterThan(Date.now());
    }
    expect(seen.size).toBe(count);
    expect(await store.clear()).toBe(count);
    expect(await store.length()).toBe(0);
    expect(Math.max(...commands.map(({ length }) => length))).toBeLessThan(3000);
    expect(commands.every(([name]) => name !== "KEYS" && name !== "DEL")).toBe(true);
  });

  test("which SCAN names twice are counted, listed and removed once", async () => {
    let last: string[] = [];
    const { client: twice } = record(client, ([name], reply) => {
      if (name !== "SCAN") return reply;
      const [cursor, keys] = reply as [string, string[]];
      const repeated = [...keys, ...keys.slice(0, 5), ...last];
      last = keys.slice(-3);
      return [cursor, repeated];
    });
    const store = makeStore(twice);
    await fill(store.prefix);
    expect(await store.length()).toBe(count);
    expect(new Set(await store.ids()).size).toBe(count);
    expect(await store.ids()).toHaveLength(count);
    expect(await store.all()).toHaveLength(count);
    expect(await store.clear()).toBe(count);
  });
});

describe("the prefix", () => {
  test("is taken literally, whatever characters it has; all other keys survive", async () => {
    const piece = fc.string({
      unit: fc.constantFrom("*", "?", "[", "]", "\\", "^", "-", "a", "b", ":", "!"),
      minLength: 0,
      maxLength: 6,
    });
    const others = fc.uniqueArray(piece, { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(piece, others, others, async (text, sids, foreign) => {
        const base = freshPrefix();
        const prefix = base + text;
        const store = new RedisStore({ client, prefix });
        const own = sids.filter((sid) => sid !== "");
        const strangers = foreign
          .map((name) => base + name)
          .filter((key) => !key.startsWith(prefix));
        for (const key of strangers) await raw.set(key, '{"cookie":{}}');
        for (const sid of own) await store.set(sid, sessionOf({ sid }));
        expect((await store.ids()).sort()).toEqual([...own].sort());
        expect(await store.length()).toBe(own.length);
        expect((await store.all()).map(({ id }) => id).sort()).toEqual([...own].sort());
        const seen: string[] = [];
        for await (const { sid } of store.sessions()) seen.push(sid);
        expect(seen.sort()).toEqual([...own].sort());
        expect(await store.clear()).toBe(own.length);
        for (const key of strangers) expect(await raw.exists(key)).toBe(true);
        if (strangers.length > 0) await raw.send("DEL", ...strangers);
      }),
      { numRuns: 60 },
    );
  });

  test("may be empty", async () => {
    const alone = await connect(6, `${url}/9`);
    const store = new RedisStore({ client: alone, prefix: "" });
    await store.set("a", sessionOf({ n: 1 }));
    await store.set("b", sessionOf({ n: 2 }));
    expect(await rawOf(alone).get("a")).toBe(JSON.stringify(sessionOf({ n: 1 })));
    expect((await store.ids()).sort()).toEqual(["a", "b"]);
    expect(await store.all()).toHaveLength(2);
    expect(await store.clear()).toBe(2);
  });
});

describe("what is stored beside what an app sees", () => {
  test("a session's own id is kept, in a listing and through a save", async () => {
    const store = makeStore(client);
    await store.set("sid", sessionOf({ id: 42, req: "r", save: "s", a: 1 }));
    expect(await store.all()).toEqual([{ ...sessionOf({ id: 42, req: "r", save: "s", a: 1 }) }]);
    const app = makeApp(store, { "/visit": visit }, { genid: () => "sid" });
    await store.destroy("sid");
    const first = await supertest(app).get("/visit");
    const cookie = first.headers["set-cookie"]?.[0] ?? "";
    await store.set("sid", sessionOf({ id: 42, req: "r", save: "s", visits: 5 }));
    expect((await supertest(app).get("/visit").set("Cookie", cookie)).text).toBe("6");
    expect((await supertest(app).get("/visit").set("Cookie", cookie)).text).toBe("7");
    expect(await store.get("sid")).toMatchObject({ id: 42, req: "r", save: "s", visits: 7 });
    expect(app.errors).toEqual([]);
  });

  test("a key named __proto__ is data like any other", async () => {
    const store = makeStore(client);
    await raw.set(`${store.prefix}sid`, '{"cookie":{},"__proto__":{"polluted":1},"a":1}');
    const loaded = (await store.get("sid")) as AppSession;
    loaded.a = 2;
    expect(await store.set("sid", loaded)).toBe("OK");
    expect(Reflect.get({}, "polluted")).toBeUndefined();
    expect(await raw.get(`${store.prefix}sid`)).toContain('"__proto__":{"polluted":1}');
  });

  test.each(['{"visits":4}', '{"visits":4,"cookie":null}', '{"visits":4,"cookie":"none"}'])(
    "a record without cookie does not crash express-session: %s",
    async (text) => {
      const store = makeStore(client);
      const app = makeApp(store, { "/visit": visit, "/read": read });
      const first = await supertest(app).get("/visit");
      const cookie = first.headers["set-cookie"]?.[0] ?? "";
      const [sid = ""] = await store.ids();
      await raw.set(store.prefix + sid, text);
      const seen = await supertest(app).get("/read").set("Cookie", cookie);
      expect(seen.body).toEqual({ visits: 4 });
      expect((await supertest(app).get("/visit").set("Cookie", cookie)).text).toBe("5");
      expect(await store.get(sid)).toMatchObject({ visits: 5, cookie: { originalMaxAge: null } });
      expect(app.errors).toEqual([]);
    },
  );
});

test("two reads give two objects", async () => {
  const store = makeStore(client);
  await store.set("sid", sessionOf({ list: [1] }));
  const [one, two] = await Promise.all([store.get("sid"), store.get("sid")]);
  expect(one).toEqual(two);
  expect(one).not.toBe(two);
});

describe("listeners that throw", () => {
  let built: Build;
  beforeAll(async () => {
    built = await build();
  });
  afterAll(() => built.remove());

  test("fail no save and no listing; what they throw is the app's own error", async () => {
    const result = await built.run<Record<string, unknown>>(`
      import { createClient } from "redis";
      import { RedisStore } from "./index.js";
      const uncaught = [];
      process.on("uncaughtException", (error) => uncaught.push(error.message));
      const client = await createClient({ url: ${JSON.stringify(url)} }).connect();
      const prefix = ${JSON.stringify(freshPrefix())};
      const store = new RedisStore({ client, prefix });
      for (const name of ["merged", "discarded", "corrupt"]) {
        store.on(name, () => { throw new Error("listener of " + name); });
      }
      const session = (data) => ({ cookie: { originalMaxAge: null }, ...data });
      await store.set("sid", session());
      const [one, two] = [await store.get("sid"), await store.get("sid")];
      one.a = 1;
      two.b = 2;
      const results = [await store.set("sid", one), await store.set("sid", two)];
      await store.destroy("sid");
      one.a = 3;
      results.push(await store.set("sid", one));
      await client.set(prefix + "corrupt", "{");
      results.push((await store.all()).length);
      await client.ping();
      await store.clear();
      client.destroy();
      process.stdout.write(JSON.stringify({ results, uncaught }));
    `);
    expect(result).toEqual({
      results: ["OK", "MERGED", "GONE", 0],
      uncaught: ["listener of merged", "listener of discarded", "listener of corrupt"],
    });
  });
});
