import { randomBytes } from "node:crypto";
import session, { type SessionData } from "express-session";
import supertest from "supertest";
import { type LegacyOptions, type LegacyStore, legacyWith } from "../../lib/legacy/legacy.js";
import { type OldClient, oldRedis, oldStore } from "../support/connect-redis.js";
import {
  connect,
  freshPrefix,
  inMs,
  makeApp,
  rawOf,
  read,
  refusal,
  sessionOf,
  type TestClient,
  until,
  url,
  visit,
} from "../support/store.js";

const legacy = legacyWith(require);
const RedisStore = legacy(session);

let client: TestClient;
beforeAll(async () => {
  client = await connect();
});

const stores: LegacyStore[] = [];
const oldClients: OldClient[] = [];
afterEach(async () => {
  for (const old of oldClients.splice(0)) old.end(false);
  for (const store of stores.splice(0)) await store.close();
});

/** A store that makes its own client. */
function own(options: LegacyOptions = {}): LegacyStore {
  const store = new RedisStore({ url, prefix: freshPrefix(), ...options });
  stores.push(store);
  return store;
}

/** A store with a client that it was given. */
function given(options: LegacyOptions = {}): LegacyStore {
  return new RedisStore({ client, prefix: freshPrefix(), ...options });
}

/** A store with a client of redis 3, which knows callbacks only. */
function givenRedis3(options: LegacyOptions = {}): LegacyStore {
  const old = oldRedis(3)(url);
  oldClients.push(old);
  const given = old as unknown as NonNullable<LegacyOptions["client"]>;
  return new RedisStore({ client: given, prefix: freshPrefix(), ...options });
}

/** Seconds to live, counted up; what EX was told. */
async function seconds(store: { prefix: string }, sid: string): Promise<number> {
  return Math.ceil((await rawOf(client).pttl(store.prefix + sid)) / 1000);
}

/** A session as the tests of connect-redis make it. */
const withCookie = (cookie: object) => ({ cookie, name: "tj" }) as unknown as SessionData;

describe("the factory", () => {
  test("takes express-session and gives a class of stores", () => {
    const store = given({ ttl: 60 });
    expect(store).toBeInstanceOf(session.Store);
    expect(store).toMatchObject({ ttl: 60, scanCount: 100, disableTTL: false, serializer: JSON });
    expect(store.client).toBe(client);
    expect(new RedisStore({ client }).prefix).toBe("sess:");
  });

  test("takes what has express-session as a property, as express 3 had", () => {
    expect(new (legacy({ session }))({ client })).toBeInstanceOf(session.Store);
  });

  test("refuses what is not express-session, and says what to pass", () => {
    for (const wrong of [
      undefined,
      {},
      { session: {} },
      session({ secret: "x", resave: false, saveUninitialized: false }),
    ]) {
      expect(() => legacy(wrong as never)).toThrow(
        expect.objectContaining({
          code: "ERR_INVALID_OPTION",
          message: expect.stringContaining('(require("express-session"))'),
        }) as Error,
      );
    }
  });
});

/** What the versions disagree about: each row is run on the real ones. */
const cookies: [string, () => object][] = [
  ["an age of 2.9 s", () => ({ maxAge: 2900, originalMaxAge: 2900, expires: inMs(2900) })],
  ["an age of a minute", () => ({ maxAge: 60_000, originalMaxAge: 60_000, expires: inMs(60_000) })],
  ["no age", () => ({ maxAge: null, originalMaxAge: null, expires: null })],
];
const ttls: [string, LegacyOptions][] = [
  ["no ttl", {}],
  ["ttl as a number", { ttl: 40 }],
  ["ttl as text", { ttl: "50" }],
];
const rows = cookies.flatMap(([name, cookie]) =>
  ttls.map(([ttl, options]) => ({ name, cookie, ttl, options })),
);

function callbacks<Result>(
  call: (callback: (error: unknown, result?: unknown) => void) => unknown,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    call((error, result) => (error ? reject(error as Error) : resolve(result as Result)));
  });
}

describe.each([
  [1, own],
  [2, own],
  [3, own],
  [4, given],
  [5, given],
  [6, given],
] as const)("where the versions disagree it does as connect-redis %i", (major, make) => {
  test.each(rows)("a session with $name, $ttl", async ({ cookie, options }) => {
    const old = await oldStore(major, { prefix: freshPrefix(), ...options });
    const ours = make(options);
    const theirs = old.store as typeof old.store & { prefix: string };
    await callbacks((done) => theirs.set("a", withCookie(cookie()), done));
    await ours.set("a", withCookie(cookie()));
    expect(await seconds(ours, "a")).toBe(await seconds(theirs, "a"));
    // Version 1 could not touch.
    if (major > 1) {
      await callbacks((done) => theirs.touch("a", withCookie(cookie()), done));
      const told = await callbacks((done) => ours.touch("a", withCookie(cookie()), done));
      expect(await seconds(ours, "a")).toBe(await seconds(theirs, "a"));
      expect(told).toBe(await callbacks((done) => theirs.touch("a", withCookie(cookie()), done)));
      expect(await ours.touch("b", withCookie(cookie()))).toBe(
        await callbacks((done) => theirs.touch("b", withCookie(cookie()), done)),
      );
    }
    await old.close();
  });

  test("a session that is over, one that is not there, and a logout", async () => {
    const old = await oldStore(major, { prefix: freshPrefix() });
    const ours = make();
    const theirs = old.store as typeof old.store & { prefix: string };
    const over = withCookie({ maxAge: -5000, originalMaxAge: 5000, expires: inMs(-5000) });
    for (const store of [theirs, ours]) {
      await callbacks((done) => store.set("a", sessionOf({ n: 1 }), done));
    }
    const outcome = (store: typeof theirs | LegacyStore) =>
      callbacks((done) => store.set("a", over, done)).catch(() => "an error");
    // 4 fails as 1 to 3 do; 5 and 6 delete the session, and so does this one.
    const expected = major === 4 ? 1 : await outcome(theirs);
    expect(await outcome(ours)).toBe(expected);
    expect(await callbacks((done) => ours.get("a", done))).toEqual(
      expected === 1 ? undefined : sessionOf({ n: 1 }),
    );
    expect(await callbacks((done) => ours.get("b", done))).toBe(
      await callbacks((done) => theirs.get("b", done)),
    );
    for (const store of [theirs, ours]) {
      await callbacks((done) => store.set("c", sessionOf(), done));
      expect(await callbacks((done) => store.destroy("c", done))).toBe(1);
      expect(await callbacks((done) => store.destroy("c", done))).toBe(0);
    }
    await old.close();
  });
});

describe("ttl", () => {
  test.each([
    ["makes its client", own],
    ["is given one", given],
  ] as const)(
    "a function wins and gets store, session and sid, when the store %s",
    async (_, make) => {
      const calls: unknown[][] = [];
      const store: LegacyStore = make({
        ttl: (...args) => {
          calls.push(args);
          return args[2] === "text" ? "30" : 20;
        },
      });
      const data = withCookie({ maxAge: 9000, originalMaxAge: 9000, expires: inMs(9000) });
      await store.set("a", data);
      expect(await seconds(store, "a")).toBe(20);
      expect(calls).toEqual([[store, data, "a"]]);
      expect(calls[0]?.[0]).toBe(store);
      await store.touch("a", data);
      expect(calls[1]).toEqual([store, data, "a"]);
      await store.set("text", data);
      expect(await seconds(store, "text")).toBe(30);
    },
  );

  test("a function that gives no number is an error and stores nothing", async () => {
    const store = given({ ttl: () => "soon" });
    expect(await refusal(store.set("a", sessionOf()))).toMatchObject({
      code: "ERR_INVALID_SESSION",
    });
    expect(await store.length()).toBe(0);
  });

  test("may be changed while the store is in use, as in all versions", async () => {
    const store = given({ ttl: 40 });
    store.ttl = 30;
    await store.set("a", sessionOf());
    expect(await seconds(store, "a")).toBe(30);
  });

  test.each([0, null, undefined, "", false, Number.NaN])(
    "%p means that there is none",
    async (ttl) => {
      const store = given({ ttl } as LegacyOptions);
      await store.set("a", sessionOf());
      expect(await seconds(store, "a")).toBe(86_400);
    },
  );

  test.each(["soon", " ", -1, Number.POSITIVE_INFINITY, {}, true])("%p is refused", (ttl) => {
    expect(() => given({ ttl } as LegacyOptions)).toThrow(/"ttl" must be a number of seconds/);
  });

  test("a request that saves twice while its cookie ages keeps the whole age", async () => {
    const store = given();
    const own = await new Promise<SessionData>((resolve, reject) => {
      store.set("a", withCookie({ originalMaxAge: 60_000, expires: inMs(60_000) })).then(() => {
        store.load("a", (error: unknown, loaded?: SessionData) => {
          if (loaded) resolve(loaded);
          else reject(error as Error);
        });
      }, reject);
    });
    // As if the request took 50 s: the cookie was dated when it began.
    (own.cookie as unknown as { _expires: Date })._expires = inMs(10_000);
    Object.assign(own, { changed: true });
    expect(await store.set("a", own)).toBe("OK");
    expect(await seconds(store, "a")).toBe(60);
  });

  test("a date in the cookie that is none is an error", async () => {
    const store = given();
    const error = await refusal(store.set("a", withCookie({ expires: "soon" })));
    expect(error).toMatchObject({ code: "ERR_INVALID_SESSION" });
    expect(error.message).toMatch(/cookie.expires must be a date/);
  });

  test("disableTTL wins over everything", async () => {
    const store = given({ disableTTL: true, ttl: 10 });
    await store.set("a", withCookie({ originalMaxAge: 5000, expires: inMs(-5000) }));
    expect(await rawOf(client).pttl(`${store.prefix}a`)).toBe(-1);
  });
});

describe("options of other times", () => {
  test("with a client, those for a new client and unknown ones do no harm", async () => {
    const store = given({
      host: "nowhere.invalid",
      port: 1,
      pass: "x",
      db: 9,
      retry: {},
      logErrors: false,
    });
    await store.set("a", sessionOf({ n: 1 }));
    expect(await store.get("a")).toEqual(sessionOf({ n: 1 }));
  });

  test("scanCount may be text, and those of RedisStore are checked as there", () => {
    expect(given({ scanCount: "50" }).scanCount).toBe(50);
    expect(given({ scanCount: "many" }).scanCount).toBe(100);
    expect(() => given({ conflict: "first" as "merge" })).toThrow(/"conflict" must be/);
  });

  test("a list of sessions is destroyed at once, as in versions 2 and 3", async () => {
    const store = given();
    for (const sid of ["a", "b"]) await store.set(sid, sessionOf());
    expect(await callbacks((done) => store.destroy(["a", "x", "b"], done))).toEqual([1, 0, 1]);
    expect(await store.length()).toBe(0);
  });
});

describe("an app", () => {
  const encryption = { keys: { a: randomBytes(32) }, write: "a", plaintextUntil: null };

  test.each<[string, (options?: LegacyOptions) => LegacyStore, LegacyOptions]>([
    ["makes its client", own, {}],
    ["is given one", given, {}],
    ["makes its client, and encrypts", own, { encryption }],
    ["is given one of redis 3, and encrypts", givenRedis3, { encryption }],
    ["is given one, and encrypts", given, { encryption }],
  ])("keeps, merges and ends sessions when the store %s", async (_, make, options) => {
    const store = make({ ttl: 60, ...options });
    const app = makeApp(store, {
      "/visit": visit,
      "/read": read,
      "/logout": (req, res, next) => {
        req.session.destroy((error: unknown) => (error ? next(error) : res.send("bye")));
      },
    });
    const agent = supertest.agent(app);
    for (const count of ["1", "2", "3"]) expect((await agent.get("/visit")).text).toBe(count);
    expect((await agent.get("/read")).body).toEqual({ visits: 3 });
    const [sid = ""] = await store.ids();
    const merged = await Promise.all([store.get(sid), store.get(sid)]);
    const [one, two] = merged as [SessionData, SessionData];
    Object.assign(one, { a: 1 });
    Object.assign(two, { b: 2 });
    expect(await store.set(sid, one)).toBe("OK");
    expect(await store.set(sid, two)).toBe("MERGED");
    expect((await agent.get("/read")).body).toEqual({ visits: 3, a: 1, b: 2 });
    const held = await rawOf(client).get(store.prefix + sid);
    expect(held).toMatch(options.encryption ? /^rss1\.a\.[\w-]+$/ : /^\{"cookie":/);
    if (options.encryption) {
      const blind = given({ prefix: store.prefix, encryption: { keys: {}, write: null } });
      expect((await refusal(blind.get(sid))).code).toBe("ERR_UNKNOWN_KEY");
    }
    await agent.get("/logout");
    expect(await store.set(sid, two)).toBe("GONE");
    expect((await agent.get("/visit")).text).toBe("1");
    await until(async () => (await store.length()) === 1);
    expect(app.errors).toEqual([]);
  });
});
