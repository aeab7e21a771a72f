import type { SessionData } from "express-session";
import type { RedisStore } from "../../lib/index.js";
import { faulty } from "../support/faults.js";
import { load, pair, warmUp } from "../support/requests.js";
import {
  type AppSession,
  connect,
  inMs,
  makeStore,
  rawOf,
  sessionOf,
  until,
} from "../support/store.js";

const DAY = 86_400_000;
/** What a listener is told is told in the next tick. */
const nextTick = () => new Promise((resolve) => setImmediate(resolve));

describe("what the merge of connect-redis 6.1 lost", () => {
  test("a deletion, beside another change", async () => {
    const { mine, other, saveMine, saveOther, stored } = await pair({ a: 1, b: 1 });
    delete mine.a;
    other.b = 2;
    expect(await saveOther()).toBe("OK");
    expect(await saveMine()).toBe("MERGED");
    expect(await stored()).toMatchObject({ b: 2 });
    expect(await stored()).not.toHaveProperty("a");
  });

  test("a deletion by the other request, beside a change of this one", async () => {
    const { mine, other, saveMine, saveOther, stored } = await pair({ o: { a: 1, b: 1 } });
    mine.o = { a: 1, b: 2 };
    other.o = { b: 1 };
    expect(await saveOther()).toBe("OK");
    expect(await saveMine()).toBe("MERGED");
    expect(await stored()).toMatchObject({ o: { b: 2 } });
    expect((await stored())?.o).not.toHaveProperty("a");
  });

  test("what another request changed and this one only loaded", async () => {
    const { mine, other, saveMine, saveOther, stored } = await pair({ a: 1, b: 1, o: { x: 1 } });
    mine.a = 2;
    Object.assign(other, { b: 2, o: { x: 2 } });
    await saveOther();
    await saveMine();
    expect(await stored()).toMatchObject({ a: 2, b: 2, o: { x: 2 } });
  });

  test("a Date and everything else that JSON writes in its own way", async () => {
    const { mine, other, saveMine, saveOther, stored } = await pair({ at: "never", n: 1 });
    class Money {
      constructor(readonly cents: number) {}
      toJSON() {
        return `${this.cents / 100} EUR`;
      }
    }
    Object.assign(mine, {
      at: new Date(0),
      link: new URL("http://a.example/"),
      due: new Money(50),
    });
    Object.assign(mine, { nothing: undefined, list: [new Date(1), undefined] });
    other.n = 2;
    await saveOther();
    expect(await saveMine()).toBe("MERGED");
    expect(await stored()).toMatchObject({
      at: "1970-01-01T00:00:00.000Z",
      link: "http://a.example/",
      due: "0.5 EUR",
      list: ["1970-01-01T00:00:00.001Z", null],
      n: 2,
    });
    expect(await stored()).not.toHaveProperty("nothing");

    // The object still holds the Date, Redis holds text: that is no change.
    const again = await load(await connectTo(prefixOf(mine)), sidOf(mine));
    again.n = 3;
    expect(await sessionStoreOf(again).set(sidOf(again), again)).toBe("OK");
    expect(await saveMine()).toBe("OK");
    expect(await stored()).toMatchObject({ n: 3, at: "1970-01-01T00:00:00.000Z" });
  });

  test("an array, which is one value", async () => {
    const { mine, other, saveMine, saveOther, stored } = await pair({ list: [1, 2, 3], kept: [1] });
    mine.list = [3];
    Object.assign(other, { list: [1, 2, 3, 4], kept: [] });
    await saveOther();
    await saveMine();
    expect(await stored()).toMatchObject({ list: [3], kept: [] });
  });

  test("an object in the place of something else", async () => {
    const { mine, other, saveMine, saveOther, stored } = await pair({ user: "ann", n: 1, o: {} });
    Object.assign(mine, { user: { id: 1 }, o: "text" });
    other.n = 2;
    await saveOther();
    await saveMine();
    expect(await stored()).toMatchObject({ user: { id: 1 }, o: "text", n: 2 });
  });

  test("one of two saves at the same moment", async () => {
    const { here, there, sid, stored } = await pair({});
    for (let round = 0; round < 25; round++) {
      const [a, b] = await Promise.all([load(here, sid), load(there, sid)]);
      a[`a${round}`] = round;
      b[`b${round}`] = round;
      await Promise.all([here.set(sid, a), there.set(sid, b)]);
    }
    expect(Object.keys((await stored()) ?? {})).toHaveLength(1 + 50);
  });

  test("the difference between a session that ended and its tombstone", async () => {
    const { here, there, sid, key, mine, raw, saveMine } = await pair({ a: 1 });
    expect(await there.destroy(sid)).toBe(1);
    expect(await raw.exists(key)).toBe(false);
    expect(await here.ids()).toEqual([]);
    mine.a = 2;
    expect(await saveMine()).toBe("GONE");
    // Nothing in the way of who wants to store one under this id by hand.
    expect(await there.set(sid, sessionOf({ b: 1 }))).toBe("OK");
    expect(await here.get(sid)).toMatchObject({ b: 1 });
  });

  test("the app's own data: nothing is added to a session", async () => {
    const { mine, other, saveMine, saveOther, raw, key } = await pair({ lastModified: 7 });
    other.b = 1;
    await saveOther();
    expect(await raw.get(key)).toBe(JSON.stringify(other));
    mine.a = 1;
    await saveMine();
    expect(Object.keys(JSON.parse((await raw.get(key)) ?? "") as object).sort()).toEqual(
      ["a", "b", "cookie", "lastModified"].sort(),
    );
  });

  test("the prototype of all objects", async () => {
    const { here, sid, raw, key, mine, saveMine } = await pair({ o: { x: 1 }, n: 1 });
    const attack = `{"__proto__":{"admin":true},"constructor":{"prototype":{"admin":true}}}`;
    const { cookie } = mine;
    await raw.set(key, JSON.stringify({ cookie, n: 1 }).replace(/}$/, `,"o":${attack}}`));
    mine.n = 2;
    expect(await saveMine()).toBe("MERGED");
    expect(({} as { admin?: unknown }).admin).toBeUndefined();
    expect(Object.getPrototypeOf((await here.get(sid)) as object)).toBe(Object.prototype);
    expect(await raw.get(key)).toContain(attack);
  });
});

/** The store, prefix and id that a Session object came from. */
function sessionStoreOf(session: object): RedisStore {
  return (session as { req: { sessionStore: RedisStore } }).req.sessionStore;
}
const prefixOf = (session: object) => sessionStoreOf(session).prefix;
const sidOf = (session: object) => (session as { id: string }).id;

async function connectTo(prefix: string): Promise<RedisStore> {
  return makeStore(await connect(), { prefix }) as RedisStore;
}

describe("who did what to which object", () => {
  const loggedIn = { user: { id: 1, name: "ann", role: "reader", lastSeen: 1 }, n: 1 };

  test.each<[string, (session: AppSession) => void]>([
    [
      "delete req.session.user",
      (session) => {
        delete session.user;
      },
    ],
    [
      "req.session.user = null",
      (session) => {
        session.user = null;
      },
    ],
  ])("a logout by %s stands, whoever saves last", async (_, logOut) => {
    for (const logoutLast of [true, false]) {
      const { mine, other, saveMine, saveOther, stored } = await pair(loggedIn);
      (mine.user as { lastSeen: number }).lastSeen = 2;
      mine.n = 2;
      logOut(other);
      if (logoutLast) {
        expect([await saveMine(), await saveOther()]).toEqual(["OK", "MERGED"]);
      } else {
        expect([await saveOther(), await saveMine()]).toEqual(["OK", "MERGED"]);
      }
      expect((await stored())?.user ?? null).toBeNull();
      expect(await stored()).toMatchObject({ n: 2 });
    }
  });

  test.each(["id", "_id"])("user 2 does not get the role of user 1: %s", async (id) => {
    const { mine, other, saveMine, saveOther, stored, events } = await pair({
      user: { [id]: 1, role: "reader" },
    });
    (mine.user as { role: string }).role = "admin";
    other.user = { [id]: 2, role: "guest" };
    await saveOther();
    expect(await saveMine()).toBe("MERGED");
    expect(await stored()).toMatchObject({ user: { [id]: 2, role: "guest" } });
    await nextTick();
    expect(events).toEqual([["here", "merged", expect.arrayContaining([`/user/${id}`]), []]]);
  });

  const users = {
    userId: (session: object) => (session as { user?: { id: unknown } }).user?.id?.toString(),
  };
  test.each([
    ["passport", {}, { passport: { user: "u1" } }, { passport: { user: "u2" } }],
    ["passport, after a logout", {}, { passport: { user: "u1" } }, { passport: {} }],
    ["passport, after a login", {}, {}, { passport: { user: "u1" } }],
    ["the option userId", users, { user: { id: "u1" } }, { user: { id: "u2" } }],
  ] as [string, object, object, object][])(
    "nothing of a request is written into the session of another user: %s",
    async (_, options, before, after) => {
      const { mine, other, saveMine, saveOther, raw, key, events } = await pair(
        { ...before, n: 1 },
        options,
      );
      mine.secret = "of user 1";
      delete other.passport;
      Object.assign(other, after);
      await saveOther();
      const text = await raw.get(key);
      expect(await saveMine()).toBe("GONE");
      mine.secret = "again";
      expect(await saveMine()).toBe("GONE");
      expect(await raw.get(key)).toBe(text);
      await nextTick();
      expect(events).toEqual([
        ["here", "discarded", "user-changed"],
        ["here", "discarded", "user-changed"],
      ]);
    },
  );

  test("a change of the user's own data is merged while the user stays", async () => {
    const { mine, other, saveMine, saveOther, stored } = await pair(loggedIn, users);
    (mine.user as { role: string }).role = "admin";
    (other.user as { lastSeen: number }).lastSeen = 2;
    await saveOther();
    expect(await saveMine()).toBe("MERGED");
    expect(await stored()).toMatchObject({ user: { id: 1, role: "admin", lastSeen: 2 } });
  });
});

test("whose session it is Redis says, and not what this process last wrote", async () => {
  const userId = (session: object) => (session as AppSession).user as string | undefined;
  const faults = faulty(await connect());
  const here = makeStore(faults.client, { userId });
  const there = makeStore(await connect(), { userId, prefix: here.prefix });
  const raw = rawOf(await connect());
  await warmUp(here);
  await there.set("sid", sessionOf({ n: 1 }));

  const ada = await load(here, "sid");
  ada.user = "ada";
  // It is stored, and not in the index yet.
  faults.fate = (command) => (String(command).includes("users-of:") ? "lose" : undefined);
  const first = here.set("sid", ada);
  await until(async () => (await raw.get(`${here.prefix}sid`))?.includes("ada") ?? false);

  const bob = await load(there, "sid");
  bob.user = "bob";
  expect(await there.set("sid", bob)).toBe("OK");
  const again = await load(here, "sid");
  again.n = 2;
  const second = here.set("sid", again);
  faults.fate = () => undefined;
  faults.answer();

  expect(await first).toBe("OK");
  expect(await second).toBe("OK");
  expect(await there.get("sid")).toMatchObject({ user: "bob", n: 2 });
});

describe("several saves", () => {
  test("a touch behind a save that stores the same date only renews: the next save tells what it kept", async () => {
    const { here, sid, mine, stored } = await pair({ n: 0 });
    const plain = (await here.get(sid)) as AppSession;
    Object.assign(plain.cookie, { originalMaxAge: 600_000, expires: inMs(600_000).toISOString() });
    const first = here.set(sid, plain);
    mine.a = 1;
    const others = here.set(sid, mine);
    expect(await Promise.all([first, others, here.touch(sid, plain)])).toEqual([
      "OK",
      "MERGED",
      "OK",
    ]);
    expect(await here.set(sid, Object.assign(plain, { b: 1 }))).toBe("MERGED");
    expect(await stored()).toMatchObject({ a: 1, b: 1 });
  });

  test("of one request keep what another one saved in between", async () => {
    const { mine, other, saveMine, saveOther, stored } = await pair({ a: 0, list: [0] });
    mine.a = 1;
    expect(await saveMine()).toBe("OK");
    Object.assign(other, { b: 1, list: [1], o: { x: 1 } });
    expect(await saveOther()).toBe("MERGED");
    mine.a = 2;
    expect(await saveMine()).toBe("MERGED");
    mine.a = 3;
    // Nobody has come in between this time.
    expect(await saveMine()).toBe("OK");
    expect(await stored()).toMatchObject({ a: 3, b: 1, list: [1], o: { x: 1 } });
  });

  test("of one request can undo its own changes and no others", async () => {
    const { mine, other, saveMine, saveOther, stored } = await pair({ o: { x: 1 } });
    Object.assign(mine, { temporary: 1 });
    await saveMine();
    Object.assign(other, { theirs: 1 });
    await saveOther();
    mine.mine = 1;
    await saveMine();
    delete mine.temporary;
    await saveMine();
    expect(await stored()).toMatchObject({ mine: 1, theirs: 1 });
    expect(await stored()).not.toHaveProperty("temporary");
  });

  test("of a new session are one session, and a logout after them counts", async () => {
    const store = makeStore(await connect());
    const req = { sessionID: "new", sessionStore: store } as never;
    const session = store.createSession(req, sessionOf({})) as unknown as { n: number };
    session.n = 1;
    const first = store.set("new", session as never);
    session.n = 2;
    const second = store.set("new", session as never);
    const end = store.destroy("new");
    session.n = 3;
    const late = store.set("new", session as never);
    expect(await Promise.all([first, second, end, late])).toEqual(["OK", "OK", 1, "GONE"]);
    expect(await store.get("new")).toBeNull();
  });

  test.each([
    ["sync", JSON],
    ["async", { parse: JSON.parse, stringify: later }],
  ] as const)(
    "that nobody waits for do not outlive the logout that follows: %s",
    async (_, serializer) => {
      const { here, sid, key, raw, mine } = await pair({ n: 0 }, { serializer });
      mine.n = 1;
      const saves = [here.set(sid, mine)];
      mine.n = 2;
      saves.push(here.set(sid, mine));
      const end = here.destroy(sid);
      saves.push(here.set(sid, Object.assign(mine, { n: 3 })));
      expect(await end).toBe(1);
      expect(await Promise.all(saves)).toEqual(["OK", "OK", "GONE"]);
      expect(await raw.exists(key)).toBe(false);
    },
  );

  test("in the queue of one session see what the one before them wrote", async () => {
    const { here, sid, stored } = await pair({ n: 0 });
    const sessions = await Promise.all(Array.from({ length: 20 }, () => load(here, sid)));
    const results = await Promise.all(
      sessions.map((session, index) => here.set(sid, Object.assign(session, { [`k${index}`]: 1 }))),
    );
    expect(results).toEqual(["OK", ...Array.from({ length: 19 }, () => "MERGED")]);
    expect(Object.keys((await stored()) ?? {})).toHaveLength(22);
  });

  test("that fail do not stop the queue", async () => {
    const { here, sid, mine, stored } = await pair({ n: 0 });
    const circle = await load(here, sid);
    mine.n = 1;
    circle.self = circle;
    const last = await load(here, sid);
    last.o = 1;
    const saves = [mine, circle, sessionOf({ big: 1n }), last].map((one) => here.set(sid, one));
    expect(await Promise.allSettled(saves)).toMatchObject([
      { value: "OK" },
      { reason: { code: "ERR_INVALID_SESSION" } },
      { reason: { code: "ERR_INVALID_SESSION" } },
      { value: "MERGED" },
    ]);
    expect(await stored()).toMatchObject({ n: 1, o: 1 });
  });
});

async function later(session: object): Promise<string> {
  const text = JSON.stringify(session);
  await new Promise((resolve) => setTimeout(resolve, 5));
  return text;
}

describe("the cookie", () => {
  const cookie = { originalMaxAge: 600_000, expires: inMs(600_000).toISOString(), path: "/" };

  test.each([
    ["a save", "save"],
    ["a save that changes nothing", "renew"],
    ["a touch", "touch"],
    ["a save, and a touch after it", "save+touch"],
    ["two saves", "save+save"],
    ["a save in the same process", "queue"],
  ])("30 days that one request asked for survive %s of a slower one", async (_, what) => {
    for (const by of ["set", "touch"] as const) {
      const { here, there, sid, mine, other, pttl, stored, saveMine } = await pair({}, {}, cookie);
      other.cookie.maxAge = 30 * DAY;
      if (what === "queue") {
        const long = await load(here, sid);
        long.cookie.maxAge = 30 * DAY;
        // Both are under way at once, the renewal behind the longer life.
        const set = by === "set" ? here.set(sid, long) : here.touch(sid, long);
        const slow = here.set(sid, mine);
        expect(await Promise.all([set, slow])).toEqual(["OK", "OK"]);
      } else {
        expect(await there[by](sid, other)).toBe("OK");
        if (what !== "renew" && what !== "touch") mine.n = 1;
        if (what !== "touch") expect(await saveMine()).toMatch(/OK|MERGED/);
        if (what === "save+touch") expect(await here.touch(sid, mine)).toBe("OK");
        if (what === "touch") expect(await here.touch(sid, mine)).toBe("OK");
        if (what === "save+save") expect(await saveMine()).toBe("OK");
      }
      expect(await pttl()).toBeGreaterThan(30 * DAY - 5000);
      expect(await stored()).toMatchObject({
        cookie: { originalMaxAge: expect.closeTo(30 * DAY, -3) as number },
      });
      const seen = await here.get(sid);
      expect(new Date(seen?.cookie.expires as Date).getTime()).toBeGreaterThan(
        Date.now() + 30 * DAY - 5000,
      );
    }
  });

  test("of a merged session says when the session ends", async () => {
    const { mine, other, saveMine, saveOther, stored } = await pair({}, {}, cookie);
    other.o = 1;
    await saveOther();
    const later = Date.now() + 300_000;
    const clock = jest.spyOn(Date, "now").mockReturnValue(later);
    mine.n = 1;
    expect(await saveMine()).toBe("MERGED");
    clock.mockRestore();
    const { expires } = (await stored())?.cookie ?? {};
    expect(new Date(expires ?? 0).getTime()).toBe(later + 600_000);
  });

  test("a shorter life that one request asked for stands as well", async () => {
    const { here, there, sid, mine, other, pttl, saveMine } = await pair({}, {}, cookie);
    other.cookie.maxAge = 60_000;
    await there.set(sid, other);
    mine.n = 1;
    await saveMine();
    expect(await pttl()).toBeLessThanOrEqual(61_000);
    await here.touch(sid, mine);
    expect(await pttl()).toBeLessThanOrEqual(61_000);
  });

  test("changed twice: the later writer, and other settings one by one", async () => {
    const { mine, other, saveMine, saveOther, stored, pttl } = await pair({}, {}, cookie);
    other.cookie.maxAge = 30 * DAY;
    other.cookie.sameSite = "lax";
    mine.cookie.maxAge = 3_600_000;
    mine.cookie.secure = true;
    await saveOther();
    expect(await saveMine()).toBe("MERGED");
    expect((await stored())?.cookie).toMatchObject({
      originalMaxAge: expect.closeTo(3_600_000, -3) as number,
      sameSite: "lax",
      secure: true,
    });
    expect(await pttl()).toBeLessThanOrEqual(3_660_000);
  });

  test("changed after a save that nobody waited for undoes nothing of that save", async () => {
    const { here, sid, mine, stored } = await pair({ a: 1 });
    mine.a = 2;
    mine.b = 1;
    const save = here.set(sid, mine);
    mine.cookie.maxAge = 30 * DAY;
    expect(await Promise.all([save, here.touch(sid, mine)])).toEqual(["OK", "OK"]);
    expect(await stored()).toMatchObject({ a: 2, b: 1, cookie: { originalMaxAge: 30 * DAY } });
  });

  test("of a plain session may be changed in place", async () => {
    const { here, sid, stored, pttl } = await pair({ a: 1 });
    const plain = await here.get(sid);
    Object.assign(plain?.cookie ?? {}, { originalMaxAge: 30 * DAY, expires: inMs(30 * DAY) });
    expect(await here.touch(sid, plain as never)).toBe("OK");
    expect(await stored()).toMatchObject({ a: 1, cookie: { originalMaxAge: 30 * DAY } });
    expect(await pttl()).toBeGreaterThan(30 * DAY - 5000);
  });

  test("a touch that stores a cookie keeps data that another request saved", async () => {
    const { here, sid, mine, other, saveOther, stored } = await pair({ a: 1 });
    Object.assign(other, { a: 2, b: 1 });
    await saveOther();
    mine.cookie.maxAge = 30 * DAY;
    expect(await here.touch(sid, mine)).toBe("OK");
    expect(await stored()).toMatchObject({ a: 2, b: 1, cookie: { originalMaxAge: 30 * DAY } });
  });
});

describe("a session that is no longer there", () => {
  test("flushed during the request: nothing is written, an event says so, no error", async () => {
    const { here, sid, key, mine, raw, events, saveMine } = await pair({ n: 1 });
    await raw.send("DEL", key);
    mine.n = 2;
    expect(await saveMine()).toBe("GONE");
    expect(await here.touch(sid, mine)).toBe("EXPIRED");
    mine.cookie.maxAge = DAY;
    expect(await here.touch(sid, mine)).toBe("EXPIRED");
    expect(await raw.exists(key)).toBe(false);
    await nextTick();
    expect(events.slice(0, 1)).toEqual([["here", "discarded", "missing"]]);
  });

  test.each(["merge", "overwrite"] as const)("is not written by any save: %s", async (conflict) => {
    const { here, there, sid, key, mine, raw, saveMine } = await pair({ n: 1 }, { conflict });
    const plain = (await here.get(sid)) as SessionData;
    await there.destroy(sid);
    expect(await saveMine()).toBe("GONE");
    mine.n = 2;
    expect(await saveMine()).toBe("GONE");
    expect(await here.set(sid, Object.assign(plain, { n: 3 }))).toBe("GONE");
    expect(await raw.exists(key)).toBe(false);
  });

  test("and is followed by another one under its id: that one loses nothing", async () => {
    const { here, there, sid, mine, stored, saveMine } = await pair({ user: { id: 1, n: 1 } });
    await there.destroy(sid);
    await there.set(sid, sessionOf({ user: { id: 2, n: 5 }, cart: [1] }));
    (mine.user as { n: number }).n = 2;
    await saveMine();
    expect(await here.get(sid)).toMatchObject({ user: { id: 2, n: 5 }, cart: [1] });
    expect(await stored()).toMatchObject({ user: { id: 2, n: 5 }, cart: [1] });
  });
});

describe("an expiry that has passed", () => {
  test("ends the session also where another request has changed something else", async () => {
    const { mine, other, key, raw, events, saveMine, saveOther } = await pair({ n: 1 });
    other.n = 2;
    expect(await saveOther()).toBe("OK");
    mine.cookie.maxAge = -1;
    expect(await saveMine()).toBe("GONE");
    expect(await raw.exists(key)).toBe(false);
    await nextTick();
    expect(events).toEqual([["here", "discarded", "expired"]]);
  });

  test("does not end the session of the user whom another request has logged in", async () => {
    const { here, sid, other, stored, saveOther } = await pair({ n: 1 });
    const plain = (await here.get(sid)) as AppSession;
    Object.assign(other, { passport: { user: 7 } });
    expect(await saveOther()).toBe("OK");
    plain.cookie.expires = inMs(-1000);
    expect(await here.set(sid, Object.assign(plain, { n: 2 }))).toBe("GONE");
    expect(await stored()).toMatchObject({ n: 1, passport: { user: 7 } });
  });
});

describe("what the store knows holds for one object under one id", () => {
  test('store.set("copy", loaded) is a new session', async () => {
    const { here, there, sid, mine, other, saveMine, stored } = await pair({ n: 1 });
    expect(await here.set("copy", mine)).toBe("OK");
    expect(await there.get("copy")).toMatchObject({ n: 1 });

    // From then on it is known under both, and the two have nothing to do with each other.
    mine.n = 2;
    expect(await here.set("copy", mine)).toBe("OK");
    expect(await stored()).toMatchObject({ n: 1 });
    other.other = 1;
    await there.set(sid, other);
    expect(await saveMine()).toBe("MERGED");
    expect(await stored()).toMatchObject({ n: 2, other: 1 });
    await there.destroy("copy");
    mine.n = 3;
    expect(await here.set("copy", mine)).toBe("GONE");
    expect(await saveMine()).toBe("OK");
    expect(await here.set("third", { ...mine, cookie: mine.cookie } as never)).toBe("OK");
  });

  test("a plain object made by hand is written as it is, whatever is there", async () => {
    const { here, sid, other, saveOther, stored } = await pair({ n: 1 });
    Object.assign(other, { o: 1 });
    await saveOther();
    expect(await here.set(sid, sessionOf({ n: 2 }))).toBe("OK");
    expect(await stored()).toEqual({ cookie: { originalMaxAge: null }, n: 2 });
  });

  test("a plain object from get is one that was loaded", async () => {
    const { here, sid, other, saveOther, stored } = await pair({ n: 1 });
    const plain = (await here.get(sid)) as never;
    other.o = 1;
    await saveOther();
    expect(await here.set(sid, Object.assign(plain, { n: 2 }))).toBe("MERGED");
    expect(await stored()).toMatchObject({ n: 2, o: 1 });
  });

  test("a stored key that a Session has a member for survives its saves", async () => {
    const { here, there, sid, raw, key } = await pair({});
    const hidden =
      '"id":7,"req":1,"touch":"t","save":[1],"__proto__":{"x":1},"constructor":5,"toString":6';
    await raw.set(key, `{"cookie":{"originalMaxAge":null,"path":"/"},"n":1,${hidden}}`);
    const [mine, other] = await Promise.all([load(here, sid), load(there, sid)]);
    const holds = async (): Promise<void> => {
      const all = JSON.parse((await raw.get(key)) ?? "{}") as object;
      const rest = Object.entries(all).filter(([name]) => !["cookie", "n", "o"].includes(name));
      const wanted = Object.entries(JSON.parse(`{${hidden}}`) as object);
      expect(new Map(rest)).toEqual(new Map(wanted));
    };
    // Nothing of it is a change of a request: a save that changes nothing writes nothing.
    const text = await raw.get(key);
    expect(await there.set(sid, other)).toBe("OK");
    expect(await raw.get(key)).toBe(text);
    other.o = 1;
    expect(await there.set(sid, other)).toBe("OK");
    await holds();
    mine.n = 2;
    expect(await here.set(sid, mine)).toBe("MERGED");
    await holds();
    mine.cookie.maxAge = DAY;
    expect(await here.touch(sid, mine)).toBe("OK");
    await holds();
    expect(await here.set(sid, mine)).toBe("OK");
    await holds();
  });
});

test("a key that a Session has a member for can be changed", async () => {
  const { here, sid, raw, key } = await pair({});
  const put = (text: string) =>
    raw.set(key, `{"cookie":{"originalMaxAge":null,"path":"/"},"constructor":"a",${text}}`);
  for (const changed of [false, true]) {
    await put('"n":1');
    const mine = await load(here, sid);
    Object.assign(mine, { constructor: "b" });
    if (changed) await put('"n":2');
    expect(await here.set(sid, mine)).toBe(changed ? "MERGED" : "OK");
    expect(JSON.parse((await raw.get(key)) ?? "")).toMatchObject({ constructor: "b" });
  }
});

test("a save of what another request has saved in the meantime renews the session", async () => {
  const { key, mine, other, raw, pttl, saveMine, saveOther } = await pair({});
  other.n = 1;
  await saveOther();
  await raw.send("PEXPIRE", key, "30000");
  mine.n = 1;
  expect(await saveMine()).toBe("OK");
  expect(await pttl()).toBeGreaterThan(30_000);
});
