import { RedisStore as ConnectRedisStore } from "connect-redis";
import { Cookie, type SessionData, type SessionOptions } from "express-session";
import supertest from "supertest";
import { RedisStore } from "../../lib/index.js";
import {
  connect,
  freshPrefix,
  inMs,
  makeApp,
  rawOf,
  read,
  sessionOf,
  type TestClient,
  unlessSealed,
  until,
  versions,
  visit,
} from "../support/store.js";

describe.each(versions)("what connect-redis expects of its store, with redis %i", (version) => {
  let client: TestClient;
  beforeAll(async () => {
    client = await connect(version);
  });

  test("the options have the same defaults and are public fields", () => {
    const store = new RedisStore({ client });
    expect(store).toMatchObject({
      prefix: "sess:",
      ttl: 86_400,
      scanCount: 100,
      disableTouch: false,
      disableTTL: false,
    });
    expect(store.client).toBe(client);
    expect(store.serializer).toBe(JSON);
  });

  test("a session lives from its first set to its destroy", async () => {
    const prefix = freshPrefix();
    const raw = rawOf(client);
    const store = new RedisStore({ client, prefix });
    const timeless = { foo: "bar", cookie: { originalMaxAge: null } } as unknown as SessionData;
    await store.set("123", timeless);
    expect(await store.get("123")).toEqual(timeless);
    expect(await raw.send<number>("TTL", `${prefix}123`)).toBeGreaterThanOrEqual(86_399);

    const expires = inMs(60_000);
    await store.set("456", sessionOf({}, { expires }));
    const first = await raw.pttl(`${prefix}456`);
    expect(first).toBeGreaterThan(50_000);
    expect(first).toBeLessThanOrEqual(60_000);
    await store.touch("456", sessionOf({}, { expires: inMs(90_000) }));
    expect(await raw.pttl(`${prefix}456`)).toBeGreaterThan(60_000);

    expect(await store.length()).toBe(2);
    expect((await store.ids()).sort()).toEqual(["123", "456"]);
    const listed = await store.all();
    expect(listed.sort((a, b) => a.id.localeCompare(b.id))).toEqual([
      { id: "123", foo: "bar", cookie: { originalMaxAge: null } },
      { id: "456", cookie: { originalMaxAge: null, expires: expires.toISOString() } },
    ]);

    await store.destroy("456");
    expect(await store.length()).toBe(1);
    await store.clear();
    expect(await store.length()).toBe(0);
  });

  test("a thousand sessions are counted and cleared", async () => {
    const store = new RedisStore({ client, prefix: freshPrefix() });
    const cookie = new Cookie();
    cookie.expires = inMs(60_000);
    await Promise.all(Array.from({ length: 1000 }, (_, n) => store.set(`s${n}`, { cookie })));
    expect(await store.length()).toBe(1000);
    await store.clear();
    expect(await store.length()).toBe(0);
  });

  test("a session set with an expiry in the past is gone", async () => {
    const store = new RedisStore({ client, prefix: freshPrefix() });
    await store.set("789", sessionOf({}, { expires: inMs(90_000) }));
    expect(await store.length()).toBe(1);
    await store.set("789", sessionOf({}, { expires: inMs(-90_000) }));
    expect(await store.length()).toBe(0);
  });
});

unlessSealed.describe("an app that comes from connect-redis", () => {
  let ours: TestClient;
  let theirs: TestClient;
  beforeAll(async () => {
    ours = await connect(6);
    theirs = await connect(5);
  });

  /** Two servers that differ in nothing but the import. */
  function servers(options: Partial<SessionOptions>, prefix = freshPrefix()) {
    const handlers = { "/visit": visit, "/read": read };
    return {
      prefix,
      old: makeApp(new ConnectRedisStore({ client: theirs, prefix }), handlers, options),
      new: makeApp(new RedisStore({ client: ours, prefix }), handlers, options),
    };
  }

  const settings: [string, Partial<SessionOptions>][] = [
    ["session cookies", {}],
    ["maxAge", { cookie: { maxAge: 60_000 } }],
    ["maxAge and rolling cookies", { cookie: { maxAge: 60_000 }, rolling: true }],
    ["resave and saveUninitialized", { resave: true, saveUninitialized: true }],
  ];

  test.each(settings)("keeps its users through the change and back: %s", async (_, options) => {
    const apps = servers(options);
    const counts: number[] = [];
    let cookie = "";
    for (const server of ["old", "old", "new", "new", "old", "new", "old"] as const) {
      const answer = await supertest(apps[server]).get("/visit").set("Cookie", cookie);
      counts.push(Number(answer.text));
      const given = answer.headers["set-cookie"]?.[0]?.split(";")[0] ?? cookie;
      if (cookie !== "") expect(given).toBe(cookie);
      cookie = given;
      const seen = await supertest(apps[server]).get("/read").set("Cookie", cookie);
      expect(seen.body).toEqual({ visits: counts.at(-1) });
    }
    expect(counts).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(apps.old.errors).toEqual([]);
    expect(apps.new.errors).toEqual([]);
  });

  test.each(["old", "new"] as const)("a logout on the %s server counts on both", async (server) => {
    const prefix = freshPrefix();
    const logout = {
      "/visit": visit,
      "/logout": ((req, res, next) => {
        req.session.destroy((error: unknown) => (error ? next(error) : res.send("bye")));
      }) as typeof visit,
    };
    const apps = {
      old: makeApp(new ConnectRedisStore({ client: theirs, prefix }), logout),
      new: makeApp(new RedisStore({ client: ours, prefix }), logout),
    };
    const first = await supertest(apps.old).get("/visit");
    const cookie = first.headers["set-cookie"]?.[0] ?? "";
    await supertest(apps.new).get("/visit").set("Cookie", cookie);
    await supertest(apps[server]).get("/logout").set("Cookie", cookie);
    for (const app of [apps.old, apps.new]) {
      expect((await supertest(app).get("/visit").set("Cookie", cookie)).text).toBe("1");
    }
  });

  test("stores the same text under the same key", async () => {
    const raw = rawOf(ours);
    const expires = inMs(60_000);
    const samples: [string, SessionData][] = [
      ["plain", sessionOf({ user: { id: 7 }, list: [1, null, "ü"] })],
      ["dated", sessionOf({}, { expires, originalMaxAge: 60_000 })],
      ["cookie", { cookie: Object.assign(new Cookie(), { maxAge: 60_000 }) }],
    ];
    for (const [sid, session] of samples) {
      const prefix = freshPrefix();
      await new RedisStore({ client: ours, prefix }).set(sid, session);
      const text = await raw.get(prefix + sid);
      await new ConnectRedisStore({ client: theirs, prefix }).set(sid, session);
      expect(await raw.get(prefix + sid)).toBe(text);
    }
  });

  test("sees the sessions of both stores in both listings", async () => {
    const prefix = freshPrefix();
    const mine = new RedisStore({ client: ours, prefix });
    const their = new ConnectRedisStore({ client: theirs, prefix });
    await mine.set("a", sessionOf({ by: "new" }));
    await their.set("b", sessionOf({ by: "old" }));
    const byId = (list: { id: string }[]) => list.sort((a, b) => a.id.localeCompare(b.id));
    expect(byId(await mine.all())).toEqual(byId((await their.all()) as { id: string }[]));
    expect(await their.length()).toBe(2);
    expect(await mine.clear()).toBe(2);
  });

  test("a session that is only read on one server is kept alive for the other", async () => {
    const apps = servers({ cookie: { maxAge: 2000 } });
    const first = await supertest(apps.old).get("/visit");
    const cookie = first.headers["set-cookie"]?.[0]?.split(";")[0] ?? "";
    const start = Date.now();
    let turn = 0;
    await until(async () => {
      const app = turn++ % 2 === 0 ? apps.new : apps.old;
      const seen = await supertest(app).get("/read").set("Cookie", cookie);
      expect(seen.body).toEqual({ visits: 1 });
      await new Promise((resolve) => setTimeout(resolve, 100));
      return Date.now() - start > 4400;
    });
    expect((await supertest(apps.new).get("/visit").set("Cookie", cookie)).text).toBe("2");
    expect((await supertest(apps.old).get("/visit").set("Cookie", cookie)).text).toBe("3");
  });
});
