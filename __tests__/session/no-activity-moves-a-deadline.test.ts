import { RedisStore as ConnectRedisStore } from "connect-redis";
import type { RequestHandler } from "express";
import type { SessionData } from "express-session";
import fc from "fast-check";
import supertest from "supertest";
import type { RedisStore } from "../../lib/index.js";
import { record, stopClock } from "../support/recording.js";
import { pair } from "../support/requests.js";
import {
  type AppSession,
  connect,
  inMs,
  makeApp,
  makeStore,
  rawOf,
  read,
  sessionOf,
  type TestClient,
  unlessSealed,
  until,
  visit,
} from "../support/store.js";

// `rolling: false` and `absoluteTtl`: a session ends, active or not.

let client: TestClient;
beforeAll(async () => {
  client = await connect();
});
afterEach(() => {
  jest.restoreAllMocks();
});

const pttl = (store: RedisStore, sid = "sid") => rawOf(client).pttl(store.prefix + sid);

/** What is stored of a session beside what the app put there: the creation time. */
async function createdOf(store: RedisStore, sid = "sid"): Promise<number | undefined> {
  const text = await rawOf(client).get(store.prefix + sid);
  const stored = JSON.parse(text ?? "{}") as Record<string, unknown>;
  const own = Object.entries(stored).filter(([key]) => /created/i.test(key));
  expect(own.length).toBeLessThanOrEqual(1);
  return own[0]?.[1] as number | undefined;
}

/** A store on the same keys with other options, as an app that does not know of the deadline. */
function rollingTwin(store: RedisStore) {
  return makeStore(client, { prefix: store.prefix, ttl: 3600 });
}

const kinds: [string, Parameters<typeof makeStore>[1], limitMs: number][] = [
  ["rolling: false", { rolling: false, ttl: 600 }, 600_000],
  ["rolling: false with a ttl function", { rolling: false, ttl: () => 600 }, 600_000],
  ["absoluteTtl", { ttl: 600, absoluteTtl: 900 }, 900_000],
  ["absoluteTtl below the idle timeout", { ttl: 600, absoluteTtl: 100 }, 100_000],
  ["both", { rolling: false, ttl: 600, absoluteTtl: 300 }, 300_000],
  ["without merging", { rolling: false, ttl: 600, conflict: "overwrite" }, 600_000],
];

describe.each(kinds)("%s", (_, options, limit) => {
  test("no use of the session moves its end, however long it is used", async () => {
    const idle = 600_000;
    const steps = fc.array(
      fc.record({
        gap: fc.integer({ min: 0, max: 240_000 }),
        use: fc.constantFrom("touch", "save", "save twice", "plain touch"),
      }),
      { minLength: 1, maxLength: 10 },
    );
    await fc.assert(
      fc.asyncProperty(steps, async (uses) => {
        const clock = stopClock();
        const { client: recorded, commands } = record(client);
        const store = makeStore(recorded, options);
        const deadline = clock.now + limit;
        await store.set("sid", sessionOf());
        for (const [n, { gap, use }] of uses.entries()) {
          clock.now += gap;
          // Redis has its own clock, which goes on: what is about to end may have ended there.
          if (deadline - clock.now < 30_000) clock.now = Math.max(clock.now, deadline);
          const session = (await store.get("sid")) as AppSession | null;
          if (clock.now >= deadline) {
            expect(session).toBeNull();
            break;
          }
          if (session === null) throw new Error("the session is not there");
          const before = commands.length;
          if (use === "touch") expect(await store.touch("sid", session)).toBe("OK");
          else if (use === "plain touch") expect(await store.touch("sid", sessionOf())).toBe("OK");
          else {
            session.n = n;
            expect(await store.set("sid", session)).toBe("OK");
            session.n = use === "save" ? n : -n - 1;
            expect(await store.set("sid", session)).toBe("OK");
          }
          const writes = commands
            .slice(before)
            .filter(([name]) => /EVAL|SET|PEXPIRE/.test(name ?? ""));
          for (const write of writes) {
            const px = write[0] === "SET" ? write[write.indexOf("PX") + 1] : write.at(-1);
            expect(clock.now + Number(px)).toBeLessThanOrEqual(deadline);
            expect(clock.now + Number(px)).toBeGreaterThanOrEqual(
              Math.min(clock.now + idle, deadline),
            );
          }
        }
        await store.destroy("sid");
      }),
      { numRuns: 25 },
    );
  });

  test("a session that another server keeps alive is over all the same", async () => {
    const clock = stopClock();
    const store = makeStore(client, options);
    await store.set("sid", sessionOf({ a: 1 }));
    const loaded = (await store.get("sid")) as AppSession;
    const theirs = new ConnectRedisStore({ client: await connect(5), prefix: store.prefix });
    await theirs.touch("sid", sessionOf());
    expect(await pttl(store)).toBeGreaterThan(limit);
    clock.now += limit - 1;
    expect(await store.get("sid")).toMatchObject({ a: 1 });
    clock.now += 1;
    expect(await store.get("sid")).toBeNull();
    expect(await store.all()).toEqual([]);
    for await (const entry of store.sessions()) expect(entry).toBeUndefined();
    loaded.a = 2;
    expect(await store.set("sid", loaded)).toBe("GONE");
    expect(await rawOf(client).exists(`${store.prefix}sid`)).toBe(false);
  });

  test.each(["loaded", "by hand"])(
    "a touch after the end does not bring it back: %s",
    async (how) => {
      const clock = stopClock();
      const store = makeStore(client, options);
      await store.set("sid", sessionOf());
      const loaded = (await store.get("sid")) as SessionData;
      await rawOf(client).send("PERSIST", `${store.prefix}sid`);
      clock.now += limit;
      expect(await store.touch("sid", how === "loaded" ? loaded : sessionOf())).toBe("EXPIRED");
      expect(await rawOf(client).exists(`${store.prefix}sid`)).toBe(false);
    },
  );

  test.each(["all", "sessions"] as const)(
    "a row of %s() that is touched does not put the end off",
    async (lister) => {
      const clock = stopClock();
      const store = makeStore(client, options);
      await store.set("sid", sessionOf());
      clock.now += limit - 10_000;
      const rows = lister === "all" ? await store.all() : [];
      for await (const { session } of store.sessions()) {
        if (lister === "sessions") rows.push(session as (typeof rows)[0]);
      }
      await rawOf(client).send("PEXPIRE", `${store.prefix}sid`, "5000");
      expect(await store.touch("sid", rows[0] as SessionData)).toBe("OK");
      expect(await pttl(store)).toBeLessThanOrEqual(10_000);
    },
  );

  test("the creation time is never shown, and stays through saves and touches", async () => {
    const clock = stopClock();
    const store = makeStore(client, options);
    await store.set("sid", sessionOf({ a: 0 }));
    const created = await createdOf(store);
    expect(created).toBe(clock.now);
    for (let a = 1; a < 4; a++) {
      clock.now += 10_000;
      const session = (await store.get("sid")) as AppSession;
      expect(Object.keys(session).sort()).toEqual(["a", "cookie"]);
      session.a = a;
      await store.set("sid", session);
      await store.touch("sid", session);
      expect(await createdOf(store)).toBe(created);
    }
    expect((await store.all()).map((session) => Object.keys(session).sort())).toEqual([
      ["a", "cookie", "id"],
    ]);
    for await (const { session } of store.sessions()) {
      expect(Object.keys(session).sort()).toEqual(["a", "cookie"]);
    }
  });

  unlessSealed.test(
    "a session of connect-redis counts from the first request that the store sees",
    async () => {
      const clock = stopClock();
      const store = makeStore(client, options);
      const theirs = new ConnectRedisStore({ client: await connect(5), prefix: store.prefix });
      await theirs.set("sid", sessionOf({ a: 1 }));
      expect(await createdOf(store)).toBeUndefined();
      const session = (await store.get("sid")) as AppSession;
      expect(await store.touch("sid", session)).toBe("OK");
      expect(await createdOf(store)).toBe(clock.now);
      // It says nothing to the other server, which keeps it.
      const seen = (await theirs.get("sid")) as AppSession;
      await theirs.set("sid", Object.assign(seen, { a: 2 }));
      expect(await createdOf(store)).toBe(clock.now);
      expect(await store.get("sid")).toEqual(sessionOf({ a: 2 }));
      clock.now += limit;
      expect(await store.get("sid")).toBeNull();
    },
  );

  test("a creation time that is none does no harm", async () => {
    const store = makeStore(client, options);
    await store.set("sid", sessionOf({ a: 1 }));
    const text = (await rawOf(client).get(`${store.prefix}sid`)) ?? "";
    for (const wrong of ['"yesterday"', "null", "{}", "1e999", "-1e999"]) {
      await rawOf(client).set(`${store.prefix}sid`, text.replace(/\d{13}/, wrong));
      const session = (await store.get("sid")) as AppSession;
      expect(session).toEqual(sessionOf({ a: 1 }));
      expect(await store.touch("sid", session)).toBe("OK");
      expect(await pttl(store)).toBeLessThanOrEqual(limit);
      expect(await createdOf(store)).toBeGreaterThan(0);
    }
  });

  test("a creation time in the future does not put the end off", async () => {
    const clock = stopClock();
    const store = makeStore(client, options);
    await store.set("sid", sessionOf({ a: 1 }));
    const text = (await rawOf(client).get(`${store.prefix}sid`)) ?? "";
    const future = String(clock.now + 10 * limit);
    await rawOf(client).set(`${store.prefix}sid`, text.replace(/\d{13}/, future));
    const session = (await store.get("sid")) as AppSession;
    expect(await store.touch("sid", session)).toBe("OK");
    expect(await createdOf(store)).toBe(clock.now);
    expect(await pttl(store)).toBeLessThanOrEqual(limit);
    clock.now += limit;
    expect(await store.get("sid")).toBeNull();
  });
});

describe("an app", () => {
  const handlers: Record<string, RequestHandler> = {
    "/visit": visit,
    "/read": read,
    "/login": (req, res, next) =>
      req.session.regenerate((error: unknown) => {
        if (error) return next(error);
        visit(req, res, next);
      }),
    "/remember": (req, res) => {
      req.session.cookie.maxAge = 900_000;
      res.end();
    },
  };

  test.each([
    ["rolling: false", { rolling: false, ttl: 600 }, {}],
    ["rolling: false with maxAge", { rolling: false }, { cookie: { maxAge: 600_000 } }],
    ["absoluteTtl", { absoluteTtl: 600 }, {}],
    ["absoluteTtl with maxAge", { absoluteTtl: 600 }, { cookie: { maxAge: 300_000 } }],
  ])("loses a session at its end, and regenerate begins anew: %s", async (_, options, session) => {
    const clock = stopClock();
    const store = makeStore(client, options);
    const app = makeApp(store, handlers, session);
    const agent = supertest.agent(app);
    await agent.get("/visit");
    const start = clock.now;
    const [sid = ""] = await store.ids();
    expect(await createdOf(store, sid)).toBe(start);
    clock.now = start + 290_000;
    expect((await agent.get("/visit")).text).toBe("2");
    clock.now = start + 580_000;
    expect((await agent.get("/read")).body).toEqual({ visits: 2 });
    const seen = await store.get(sid);
    const shown = seen?.cookie.expires;
    if (shown) expect(new Date(shown).getTime()).toBeLessThanOrEqual(start + 600_000);

    expect((await agent.get("/login")).text).toBe("1");
    const [fresh = ""] = await store.ids();
    expect(fresh).not.toBe(sid);
    expect(await createdOf(store, fresh)).toBe(clock.now);
    clock.now += 290_000;
    expect((await agent.get("/visit")).text).toBe("2");
    clock.now += 320_000;
    expect(await store.get(fresh)).toBeNull();
    expect(app.errors).toEqual([]);
  });

  test.each([
    ["touch", "OK"],
    ["set", "MERGED"],
  ] as const)(
    "the %s of a request that knows of no longer life does not end the one that another gave",
    async (method, result) => {
      const clock = stopClock();
      const { here, there, sid, mine, other } = await pair(
        {},
        { rolling: false },
        { originalMaxAge: 600_000, expires: inMs(600_000), path: "/" },
      );
      other.cookie.maxAge = 3_600_000;
      await there.set(sid, other);
      clock.now += 700_000;
      expect(await here[method](sid, mine)).toBe(result);
      expect(await here.get(sid)).not.toBeNull();
      clock.now += 2_900_000;
      expect(await here.get(sid)).toBeNull();
    },
  );

  test("rolling: false counts a cookie's new maxAge from the creation", async () => {
    const clock = stopClock();
    const store = makeStore(client, { rolling: false });
    const app = makeApp(store, handlers, { cookie: { maxAge: 600_000 } });
    const first = await supertest(app).get("/visit");
    const cookie = first.headers["set-cookie"]?.[0]?.split(";")[0] ?? "";
    const deadline = clock.now + 900_000;
    clock.now += 100_000;
    await supertest(app).get("/remember").set("Cookie", cookie);
    const [sid = ""] = await store.ids();
    expect(await pttl(store, sid)).toBeLessThanOrEqual(deadline - clock.now);
    expect(await pttl(store, sid)).toBeGreaterThan(deadline - clock.now - 10_000);
    clock.now = deadline - 1;
    expect(await store.get(sid)).not.toBeNull();
    clock.now = deadline;
    expect(await store.get(sid)).toBeNull();
  });

  test("a date in the cookie without a maxAge is fixed as it is", async () => {
    const clock = stopClock();
    const store = makeStore(client, { rolling: false, ttl: 10 });
    const expires = inMs(60_000);
    await store.set("sid", sessionOf({}, { expires }));
    clock.now += 30_000;
    const session = (await store.get("sid")) as AppSession;
    session.a = 1;
    expect(await store.set("sid", session)).toBe("OK");
    expect(await pttl(store)).toBeLessThanOrEqual(30_000);
    expect(await pttl(store)).toBeGreaterThan(25_000);
    expect((await store.get("sid"))?.cookie.expires).toBe(expires.toISOString());
  });
});

test("beside a rolling server the real end is that of the store with the deadline", async () => {
  const store = makeStore(client, { rolling: false, ttl: 0.3 });
  await store.set("sid", sessionOf());
  const twin = rollingTwin(store);
  await until(async () => {
    const session = await twin.get("sid");
    if (session !== null) await twin.touch("sid", session);
    return (await store.get("sid")) === null;
  });
  expect(await twin.get("sid")).not.toBeNull();
});

test("without a deadline nothing is added to what is stored", async () => {
  const store = makeStore(client);
  await store.set("sid", sessionOf({ a: 1 }));
  const session = (await store.get("sid")) as AppSession;
  session.a = 2;
  await store.set("sid", session);
  expect(await rawOf(client).get(`${store.prefix}sid`)).toBe(JSON.stringify(sessionOf({ a: 2 })));
});

test("a store without a deadline keeps the creation time of one with it, and shows it to nobody", async () => {
  const store = makeStore(client, { absoluteTtl: 5000 });
  await store.set("sid", sessionOf({ a: 1 }));
  const { __createdAt: created } = JSON.parse(
    (await rawOf(client).get(`${store.prefix}sid`)) ?? "",
  );
  expect(created).toBeGreaterThan(0);

  const plain = makeStore(client, { prefix: store.prefix });
  const session = (await plain.get("sid")) as SessionData;
  expect(session).not.toHaveProperty("__createdAt");
  expect(await plain.all()).toEqual([{ ...session, id: "sid" }]);
  Object.assign(session, { b: 2 });
  expect(await plain.set("sid", session)).toBe("OK");
  const stored = JSON.parse((await rawOf(client).get(`${store.prefix}sid`)) ?? "");
  expect(stored).toMatchObject({ a: 1, b: 2, __createdAt: created });
});
