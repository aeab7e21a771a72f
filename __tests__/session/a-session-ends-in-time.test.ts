import { Cookie, type SessionData } from "express-session";
import fc from "fast-check";
import supertest from "supertest";
import type { RedisStore } from "../../lib/index.js";
import { type ExpiryRules, lifetime } from "../../lib/session/expiry.js";
import { record, stopClock } from "../support/recording.js";
import {
  type AppSession,
  connect,
  inMs,
  makeApp,
  makeStore,
  rawOf,
  read,
  refusal,
  sessionOf,
  type TestClient,
  until,
  visit,
} from "../support/store.js";

let client: TestClient;
beforeAll(async () => {
  client = await connect();
});
afterEach(() => {
  jest.restoreAllMocks();
});

const pttl = (store: RedisStore, sid = "sid") => rawOf(client).pttl(store.prefix + sid);

/** The expiry that a session gets, in ms from now, by a clock that stands still. */
async function given(session: SessionData, options: Parameters<typeof makeStore>[1] = {}) {
  const { client: recorded, commands } = record(client);
  const store = makeStore(recorded, options);
  await store.set("sid", session);
  const [name, , , px, ms] = commands.at(-1) ?? [];
  expect([name, px]).toEqual(["SET", "PX"]);
  return Number(ms);
}

describe("precedence", () => {
  test("the ttl function, then cookie.expires, then the ttl number", async () => {
    stopClock();
    const dated = () => sessionOf({}, { expires: inMs(5000) });
    expect(await given(dated(), { ttl: () => 7 })).toBe(7000);
    expect(await given(sessionOf(), { ttl: () => 7 })).toBe(7000);
    expect(await given(dated(), { ttl: 9 })).toBe(5000);
    expect(await given(sessionOf(), { ttl: 9 })).toBe(9000);
    expect(await given(sessionOf())).toBe(86_400_000);
  });

  test("the ttl function gets the session and its id", async () => {
    const ttl = jest.fn((session: SessionData, sid: string) => (session && sid === "sid" ? 60 : 0));
    const session = sessionOf({ role: "admin" });
    await given(session, { ttl });
    expect(ttl).toHaveBeenCalledWith(session, "sid");
  });

  test.each([undefined, null, false, ""])("cookie.expires of %p means none", async (expires) => {
    stopClock();
    expect(await given(sessionOf({}, { expires }), { ttl: 9 })).toBe(9000);
  });

  test("cookie.expires may be a Date, an ISO text or a time in ms", async () => {
    const { now } = stopClock();
    for (const expires of [new Date(now + 5), new Date(now + 5).toISOString(), now + 5]) {
      expect(await given(sessionOf({}, { expires }))).toBe(5);
    }
  });

  test("a session without a cookie lives for the ttl", async () => {
    stopClock();
    for (const cookie of [undefined, null, "none"]) {
      const session = { cookie } as unknown as SessionData;
      expect(await given(session, { ttl: 9 })).toBe(9000);
    }
  });

  test("the farthest date and the longest ttl are stored", async () => {
    stopClock();
    const expires = new Date(8.64e15);
    expect(await given(sessionOf({}, { expires }))).toBe(8.64e15 - Date.now());
    expect(await given(sessionOf(), { ttl: 31_556_952_000 })).toBe(31_556_952_000_000);
    const store = makeStore(client);
    await store.set("sid", sessionOf({}, { expires }));
    const session = (await store.get("sid")) as SessionData;
    expect(await store.touch("sid", session)).toBe("OK");
    expect(await pttl(store)).toBeGreaterThan(8e15);
  });

  test("every mix of the three, by the same rule", () => {
    const cookies = fc.record({
      expires: fc.oneof(
        fc.constantFrom(undefined, null, false as const, ""),
        fc.integer({ min: 1, max: 1e12 }).map((ms) => new Date(ms)),
        fc.integer({ min: 1, max: 1e12 }).map((ms) => new Date(ms).toISOString()),
      ),
      originalMaxAge: fc.constantFrom(null, undefined, 5000),
    });
    const times = fc.integer({ min: 1, max: 1e12 });
    fc.assert(
      fc.property(cookies, times, times, fc.boolean(), (cookie, ttl, now, byFunction) => {
        const idle = byFunction ? () => ttl / 1000 : ttl;
        const rules = { idle, rolling: true, absolute: Number.POSITIVE_INFINITY, touchAfter: 0 };
        const { exact } = lifetime(rules, { cookie }, "sid", now, now, false);
        const dated =
          !byFunction && cookie.expires ? new Date(cookie.expires).getTime() : undefined;
        // The division by 1000 and back may cost a part of a ms; the session never pays it.
        const wanted = dated ?? now + ttl;
        expect(exact).toBeGreaterThanOrEqual(wanted);
        expect(exact).toBeLessThanOrEqual(wanted + (byFunction ? 1 : 0));
      }),
    );
  });
});

describe("milliseconds", () => {
  test("a cookie with maxAge: 5 lives 5 ms", async () => {
    const clock = stopClock();
    const cookie = new Cookie();
    cookie.maxAge = 5;
    expect(await given({ cookie })).toBe(5);
    clock.now += 4;
    expect(await given({ cookie })).toBe(1);
    clock.now += 1;
    const { client: recorded, names } = record(client);
    expect(await makeStore(recorded).set("sid", { cookie })).toBe("GONE");
    expect(names()).toEqual(["DEL"]);
  });

  test("and is gone then", async () => {
    const store = makeStore(client);
    await store.set("sid", sessionOf({}, { expires: inMs(5) }));
    await until(async () => (await store.get("sid")) === null);
    expect(await store.length()).toBe(0);
  });

  test("a part of a millisecond is rounded up", async () => {
    stopClock();
    expect(await given(sessionOf(), { ttl: 0.0001 })).toBe(1);
    expect(await given(sessionOf(), { ttl: () => 1.0001 })).toBe(1001);
  });
});

describe("an expiry that has passed", () => {
  test.each([
    ["cookie.expires", {}, -1],
    ["cookie.expires long ago", {}, -1e12],
    ["a ttl function that gives 0", { ttl: () => 0 }, 60_000],
    ["a ttl function that gives -1", { ttl: () => -1 }, 60_000],
  ])("deletes the session at a set: %s", async (_, options, ms) => {
    const first = makeStore(client);
    await first.set("sid", sessionOf());
    const store = makeStore(client, { ...options, prefix: first.prefix });
    const discarded = jest.fn();
    store.on("discarded", discarded);
    expect(await store.set("sid", sessionOf({}, { expires: inMs(ms) }))).toBe("GONE");
    expect(await first.get("sid")).toBeNull();
    await until(() => discarded.mock.calls.length > 0);
    expect(discarded).toHaveBeenCalledWith(expect.any(String), "expired");
  });

  test("deletes the session at a touch", async () => {
    const store = makeStore(client);
    await store.set("sid", sessionOf());
    expect(await store.touch("sid", sessionOf({}, { expires: inMs(-1) }))).toBe("EXPIRED");
    expect(await store.length()).toBe(0);
  });

  test("deletes nothing under disableTTL", async () => {
    const store = makeStore(client, { disableTTL: true });
    const over = sessionOf({ a: 1 }, { expires: inMs(-1000) });
    expect(await store.set("sid", over)).toBe("OK");
    expect(await store.touch("sid", over)).toBe("OK");
    expect(await store.all()).toHaveLength(1);
  });
});

describe("what get hands out", () => {
  test("expires is now + originalMaxAge, as ISO text, whatever date is stored", async () => {
    const clock = stopClock();
    const store = makeStore(client);
    await store.set("sid", sessionOf({}, { originalMaxAge: 60_000, expires: inMs(60_000) }));
    clock.now += 50_000;
    const session = await store.get("sid");
    expect(session?.cookie).toEqual({
      originalMaxAge: 60_000,
      expires: new Date(clock.now + 60_000).toISOString(),
    });
  });

  test.each([null, undefined])(
    "with an originalMaxAge of %p it is what is stored",
    async (none) => {
      const store = makeStore(client);
      const expires = inMs(60_000).toISOString();
      await store.set("sid", sessionOf({}, { originalMaxAge: none, expires }));
      expect((await store.get("sid"))?.cookie.expires).toBe(expires);
      await store.set("none", sessionOf({}, { originalMaxAge: none }));
      expect(Object.keys((await store.get("none"))?.cookie ?? {})).not.toContain("expires");
    },
  );

  test("a record without cookie comes as it is", async () => {
    const store = makeStore(client);
    await rawOf(client).set(`${store.prefix}sid`, '{"a":1}');
    expect(await store.get("sid")).toEqual({ a: 1 });
    expect(await store.touch("sid", (await store.get("sid")) as SessionData)).toBe("OK");
    expect(await pttl(store)).toBeGreaterThan(86_000_000);
  });

  test.each([
    ["later", 50_000],
    ["sooner", 5000],
  ])("an expiry that the app sets on it by hand counts: %s", async (_, ms) => {
    const store = makeStore(client, { touchAfter: 0 });
    await store.set("sid", sessionOf({}, { originalMaxAge: 20_000, expires: inMs(20_000) }));
    const session = (await store.get("sid")) as SessionData;
    session.cookie.expires = inMs(ms);
    Object.assign(session, { changed: true });
    expect(await store.set("sid", session)).toBe("OK");
    expect(await pttl(store)).toBeLessThanOrEqual(ms);
    expect(await pttl(store)).toBeGreaterThan(ms - 4000);
  });

  test("an expiry that the app sets by hand is what the next get hands out", async () => {
    const store = makeStore(client);
    await store.set("sid", sessionOf({}, { expires: inMs(10_000) }));
    const session = (await store.get("sid")) as SessionData;
    const expires = inMs(60_000).toISOString();
    Object.assign(session.cookie, { expires });
    expect(await store.set("sid", session)).toBe("OK");
    expect((await store.get("sid"))?.cookie.expires).toBe(expires);
  });

  test("an expiry in the past that the app sets on it by hand ends the session", async () => {
    const store = makeStore(client);
    await store.set("sid", sessionOf({}, { originalMaxAge: 20_000, expires: inMs(20_000) }));
    const session = (await store.get("sid")) as SessionData;
    session.cookie.expires = inMs(-1);
    expect(await store.set("sid", session)).toBe("GONE");
    expect(await store.length()).toBe(0);
  });
});

describe("the slack of a renewal", () => {
  test("is between nothing and touchAfter or a sixtieth of the session's life", () => {
    const rules: fc.Arbitrary<ExpiryRules & { idle: number }> = fc.record({
      idle: fc.integer({ min: 1, max: 1e13 }),
      touchAfter: fc.integer({ min: 0, max: 1e10 }),
      rolling: fc.constant(true),
      absolute: fc.constant(Number.POSITIVE_INFINITY),
    });
    fc.assert(
      fc.property(rules, fc.integer({ min: 0, max: 2e12 }), (given, now) => {
        const { exact, relaxed } = lifetime(given, {}, "sid", now, now, false);
        expect(exact).toBe(now + given.idle);
        expect(relaxed).toBeGreaterThanOrEqual(exact);
        expect(relaxed).toBeLessThanOrEqual(
          Math.ceil(exact + Math.min(given.touchAfter, given.idle / 60)),
        );
      }),
    );
  });

  // Redis keeps its own time; what counts is what the store asks for by the clock it is shown.
  test("no use of a session leaves it less than its idle timeout, or more by the slack", async () => {
    const uses = fc.array(
      fc.record({
        gap: fc.integer({ min: 0, max: 90_000 }),
        use: fc.constantFrom("touch", "save"),
      }),
      { minLength: 1, maxLength: 12 },
    );
    const ttls = fc.constantFrom(60, 600, 3600, 86_400);
    await fc.assert(
      fc.asyncProperty(
        uses,
        ttls,
        fc.constantFrom(0, 1, 60, 600),
        async (steps, ttl, touchAfter) => {
          const clock = stopClock();
          const { client: recorded, commands } = record(client);
          const store = makeStore(recorded, { ttl, touchAfter });
          await store.set("sid", sessionOf());
          let expiry = clock.now + ttl * 1000;
          const slack = Math.min(touchAfter * 1000, (ttl * 1000) / 60);
          for (const [n, { gap, use }] of steps.entries()) {
            clock.now += gap;
            if (expiry <= clock.now) break;
            const session = (await store.get("sid")) as AppSession;
            const before = commands.length;
            if (use === "save") {
              session.n = n;
              expect(await store.set("sid", session)).toBe("OK");
            } else {
              expect(await store.touch("sid", session)).toBe("OK");
            }
            const sent = commands
              .slice(before)
              .findLast(([name]) => /EVAL|PEXPIRE/.test(name ?? ""));
            if (sent !== undefined) expiry = clock.now + Number(sent.at(-1));
            expect(expiry).toBeGreaterThanOrEqual(clock.now + ttl * 1000);
            expect(expiry).toBeLessThanOrEqual(Math.ceil(clock.now + ttl * 1000 + slack));
          }
          await store.destroy("sid");
        },
      ),
      { numRuns: 60 },
    );
  });

  test("a touch is sent again as soon as the session would else die early", async () => {
    const clock = stopClock();
    const { client: recorded, names, commands } = record(client);
    const store = makeStore(recorded, { ttl: 3600, touchAfter: 10 });
    await store.set("sid", sessionOf());
    const session = (await store.get("sid")) as SessionData;
    await store.touch("sid", session);
    expect(names()).toEqual(["SET", "GET"]);
    clock.now += 1;
    await store.touch("sid", session);
    expect(names().length).toBeGreaterThan(0);
    expect(commands.at(-1)?.at(-1)).toBe("3610000");
    clock.now += 10_000;
    await store.touch("sid", session);
    expect(names()).toEqual([]);
    clock.now += 1;
    await store.touch("sid", session);
    expect(names()).toHaveLength(1);
  });

  test("touchAfter: 0 renews at each request and is exact", async () => {
    const clock = stopClock();
    const { client: recorded, commands } = record(client);
    const store = makeStore(recorded, { ttl: 3600, touchAfter: 0 });
    await store.set("sid", sessionOf());
    for (let n = 0; n < 3; n++) {
      clock.now += 1;
      await store.touch("sid", (await store.get("sid")) as SessionData);
      expect(commands.at(-1)?.at(-1)).toBe("3600000");
    }
  });

  test("a life that became shorter or longer is sent, however recent the last renewal", async () => {
    stopClock();
    const { client: recorded, commands } = record(client);
    const store = makeStore(recorded);
    for (const ms of [60_000, 10_000, 90_000]) {
      const session = sessionOf({}, { expires: inMs(ms) });
      if (ms === 60_000) await store.set("sid", session);
      else expect(await store.touch("sid", session)).toBe("OK");
      expect(Number(commands.at(-1)?.at(-1))).toBeGreaterThanOrEqual(ms);
      expect(Number(commands.at(-1)?.at(-1))).toBeLessThanOrEqual(ms + ms / 60 + 1);
    }
  });

  test("what a store remembers of a session ends with it", async () => {
    const { client: recorded, names } = record(client);
    const store = makeStore(recorded);
    const renewed = async () => {
      await store.set("sid", sessionOf());
      const session = (await store.get("sid")) as SessionData;
      await store.touch("sid", session);
      return session;
    };
    let session = await renewed();
    await store.destroy("sid");
    expect(await store.touch("sid", session)).toBe("EXPIRED");
    session = await renewed();
    await store.clear();
    expect(await store.touch("sid", session)).toBe("EXPIRED");
    session = await renewed();
    await rawOf(client).send("DEL", `${store.prefix}sid`);
    expect(await store.get("sid")).toBeNull();
    expect(await store.touch("sid", session)).toBe("EXPIRED");
    expect(names().length).toBeGreaterThan(0);
  });
});

describe("disableTTL", () => {
  test("no session ever gets an expiry, and a touch sends nothing", async () => {
    const { client: recorded, names } = record(client);
    const store = makeStore(recorded, { disableTTL: true });
    await store.set("sid", sessionOf({}, { originalMaxAge: 5000, expires: inMs(5000) }));
    expect(await pttl(store)).toBe(-1);
    const session = (await store.get("sid")) as AppSession;
    names();
    expect(await store.touch("sid", session)).toBe("OK");
    expect(names()).toEqual([]);
    session.a = 1;
    expect(await store.set("sid", session)).toBe("OK");
    expect(await store.set("sid", session)).toBe("OK");
    expect(await pttl(store)).toBe(-1);
    for await (const { expires } of store.sessions()) expect(expires).toBeNull();
    await store.destroy("sid");
    session.a = 2;
    expect(await store.set("sid", session)).toBe("GONE");
  });

  test("a session of a store with expiry becomes one without", async () => {
    const first = makeStore(client);
    await first.set("sid", sessionOf());
    const store = makeStore(client, { disableTTL: true, prefix: first.prefix });
    const session = (await store.get("sid")) as AppSession;
    session.a = 1;
    expect(await store.set("sid", session)).toBe("OK");
    expect(await pttl(store)).toBe(-1);
  });
});

describe("disableTouch", () => {
  test("a request that changes nothing renews nothing, one that saves does", async () => {
    const { client: recorded, names } = record(client);
    const store = makeStore(recorded, { disableTouch: true, touchAfter: 0 });
    const raw = rawOf(client);
    await store.set("sid", sessionOf());
    await raw.send("PEXPIRE", `${store.prefix}sid`, "5000");
    const session = (await store.get("sid")) as AppSession;
    names();
    expect(await store.touch("sid", session)).toBe("OK");
    expect(names()).toEqual([]);
    expect(await pttl(store)).toBeLessThanOrEqual(5000);
    session.a = 1;
    await store.set("sid", session);
    expect(await pttl(store)).toBeGreaterThan(80_000_000);
  });
});

describe('"remember me"', () => {
  const hour = 3_600_000;
  const cookieOf = async (store: RedisStore) => {
    const [sid = ""] = await store.ids();
    return (await store.get(sid))?.cookie;
  };

  test.each([
    ["with session cookies", {}, {}],
    ["with a shorter maxAge", { cookie: { maxAge: 60_000 } }, {}],
    ["under disableTouch", {}, { disableTouch: true }],
    ["with a fixed expiry", { cookie: { maxAge: 60_000 } }, { rolling: false }],
    ["without merging", {}, { conflict: "overwrite" as const }],
  ])("cookie.maxAge = … and nothing else is stored: %s", async (_, session, options) => {
    const store = makeStore(client, options);
    const app = makeApp(
      store,
      {
        "/visit": visit,
        "/read": read,
        "/remember": (req, res) => {
          req.session.cookie.maxAge = hour;
          res.end();
        },
      },
      session,
    );
    const agent = supertest.agent(app);
    await agent.get("/visit");
    await agent.get("/remember");
    await agent.get("/read");
    await agent.get("/visit");
    const cookie = await cookieOf(store);
    expect(cookie?.originalMaxAge).toBeGreaterThan(hour - 1000);
    const [sid = ""] = await store.ids();
    expect(await pttl(store, sid)).toBeGreaterThan(hour - 60_000);
    expect(await pttl(store, sid)).toBeLessThanOrEqual(hour + 61_000);
    expect((await agent.get("/read")).body).toEqual({ visits: 2 });
    expect(app.errors).toEqual([]);
  });

  test("is undone the same way, and so are other settings of the cookie", async () => {
    const store = makeStore(client);
    const app = makeApp(
      store,
      {
        "/visit": visit,
        "/forget": (req, res) => {
          // The browser's cookie goes with it; so do the settings.
          Object.assign(req.session.cookie, { maxAge: null, sameSite: "strict", domain: "a.test" });
          res.end();
        },
      },
      { cookie: { maxAge: 60_000 } },
    );
    const first = await supertest(app).get("/visit");
    const cookie = first.headers["set-cookie"]?.[0]?.split(";")[0] ?? "";
    await supertest(app).get("/forget").set("Cookie", cookie);
    expect(await cookieOf(store)).toMatchObject({
      originalMaxAge: null,
      sameSite: "strict",
      domain: "a.test",
    });
    const [sid = ""] = await store.ids();
    expect(await pttl(store, sid)).toBeGreaterThan(80_000_000);
  });

  test("a cookie that only got older by the request is not stored again", async () => {
    const { client: recorded, names } = record(client);
    const store = makeStore(recorded);
    const app = makeApp(store, { "/visit": visit, "/read": read }, { cookie: { maxAge: hour } });
    const agent = supertest.agent(app);
    await agent.get("/visit");
    await agent.get("/read");
    names();
    for (let n = 0; n < 5; n++) await agent.get("/read");
    expect(names()).toEqual(["GET", "GET", "GET", "GET", "GET"]);
  });
});

test("a session that expires meanwhile is not listed, and the others have their real expiry", async () => {
  const store = makeStore(client, { ttl: 60 });
  await store.set("kept", sessionOf());
  await store.set("short", sessionOf({}, { expires: inMs(5) }));
  await until(async () => !(await rawOf(client).exists(`${store.prefix}short`)));
  await rawOf(client).send("PEXPIRE", `${store.prefix}kept`, "30000");
  const now = Date.now();
  for await (const { sid, expires } of store.sessions()) {
    expect(sid).toBe("kept");
    expect(expires?.getTime()).toBeGreaterThan(now + 25_000);
    expect(expires?.getTime()).toBeLessThanOrEqual(Date.now() + 30_000);
  }
});

test("an expiry that is no date stops a touch that would have nothing to send", async () => {
  const store = makeStore(client);
  await store.set("sid", sessionOf());
  const session = (await store.get("sid")) as SessionData;
  await store.touch("sid", session);
  Object.assign(session.cookie, { expires: "soon" });
  expect((await refusal(store.touch("sid", session))).code).toBe("ERR_INVALID_SESSION");
  expect(await store.length()).toBe(1);
});
