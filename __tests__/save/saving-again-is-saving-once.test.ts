import { randomBytes } from "node:crypto";
import express from "express";
import session, { type SessionData } from "express-session";
import request from "supertest";
import type { RedisStore, RedisStoreOptions, TextSerializer } from "../../lib/index.js";
import { type Fault, type FaultyClient, faulty, writes } from "../support/faults.js";
import { load, warmUp } from "../support/requests.js";
import {
  type AppSession,
  connect,
  makeStore,
  rawOf,
  refusal,
  sessionOf,
  until,
} from "../support/store.js";

type Options = Omit<Partial<RedisStoreOptions>, "client">;

/** One session that a request of this process has loaded, over a connection that may fail. */
async function loaded(data: object, options: Options = {}) {
  const faults = faulty(await connect());
  const store = makeStore(faults.client, { timeout: 200, ...options }) as RedisStore;
  const other = makeStore(await connect(), { ...options, prefix: store.prefix }) as RedisStore;
  const raw = rawOf(await connect());
  await warmUp(store);
  await store.set("sid", sessionOf(data, { path: "/" }));
  const key = `${store.prefix}sid`;
  return { faults, store, other, raw, key, mine: await load(store, "sid") };
}

/** What the app sees of a session, read by another process. */
async function seen(store: RedisStore): Promise<Record<string, unknown> | null> {
  const session = await store.get("sid");
  if (session === null) return null;
  const { cookie: _, ...data } = session as AppSession;
  return data;
}

/** Other answers go on coming: only of a server that answers nothing is nothing asked any more. */
function keepAlive(store: RedisStore): () => void {
  const timer = setInterval(() => void store.get("other").catch(() => {}), 10);
  return () => clearInterval(timer);
}

/** A write that gets no answer. */
async function failing(
  { faults, store }: { faults: FaultyClient; store: RedisStore },
  fault: Fault,
  write: () => Promise<unknown>,
): Promise<void> {
  faults.fate = writes(fault);
  const stop = keepAlive(store);
  expect(await refusal(write())).toMatchObject({ code: "ERR_TIMEOUT" });
  stop();
  faults.fate = () => undefined;
  await answering(store);
}

/** Waits until the store gets answers again. */
function answering(store: RedisStore): Promise<void> {
  return until(() =>
    store.get("other").then(
      () => true,
      () => false,
    ),
  );
}

const fates: Fault[] = ["lose", "drop", "late"];

describe.each(fates)("a save whose answer does not come (%s)", (fault) => {
  test("and is saved again, once or six times, was saved once", async () => {
    const { faults, store, other, mine } = await loaded({ n: 1 });
    mine.n = 2;
    for (let time = 0; time < 6; time++) {
      await failing({ faults, store }, fault, () => store.set("sid", mine));
    }
    expect(await store.set("sid", mine)).toBe("OK");
    await faults.arrive();
    expect(await seen(other)).toEqual({ n: 2 });
  });

  test("and is taken back is taken back", async () => {
    const { faults, store, other, mine } = await loaded({ role: "user" });
    mine.role = "admin";
    await failing({ faults, store }, fault, () => store.set("sid", mine));
    mine.role = "user";
    expect(await store.set("sid", mine)).toBe("OK");
    await faults.arrive();
    expect(await seen(other)).toEqual({ role: "user" });
  });

  test("and that logs in is no other user when it is saved again with one more key", async () => {
    const options: Options = { userId: (one) => (one as AppSession).user as string | undefined };
    const { faults, store, other, mine } = await loaded({}, options);
    mine.user = "ada";
    await failing({ faults, store }, fault, () => store.set("sid", mine));
    mine.more = 1;
    expect(await store.set("sid", mine)).toBe("OK");
    await faults.arrive();
    expect(await seen(other)).toEqual({ user: "ada", more: 1 });
    expect(await other.sessionsOf("ada")).toHaveLength(1);
  });

  test("leaves what others write meanwhile, before and after", async () => {
    const { faults, store, other, mine } = await loaded({ n: 1, list: [1] });
    const theirs = await load(other, "sid");
    theirs.before = true;
    expect(await other.set("sid", theirs)).toBe("OK");
    mine.n = 2;
    await failing({ faults, store }, fault, () => store.set("sid", mine));
    theirs.after = true;
    expect(["OK", "MERGED"]).toContain(await other.set("sid", theirs));
    mine.list = [1, 2];
    expect(await store.set("sid", mine)).toBe("MERGED");
    await faults.arrive();
    expect(await seen(other)).toEqual({ n: 2, list: [1, 2], before: true, after: true });
  });

  test("does not undo what somebody wrote over it", async () => {
    const { faults, store, other, mine } = await loaded({ n: 1, m: 1 });
    mine.n = 2;
    mine.m = 2;
    await failing({ faults, store }, fault, () => store.set("sid", mine));
    const theirs = await load(other, "sid");
    theirs.n = 3;
    await other.set("sid", theirs);
    mine.x = 1;
    await store.set("sid", mine);
    await faults.arrive();
    // Where it had not happened, this save is the later writer of both.
    expect(await seen(other)).toEqual({ n: fault === "lose" ? 3 : 2, m: 2, x: 1 });
  });

  test("does not bring back what was ended", async () => {
    const { faults, store, other, mine } = await loaded({ n: 1 });
    mine.n = 2;
    await failing({ faults, store }, fault, () => store.set("sid", mine));
    expect(await other.destroy("sid")).toBe(1);
    expect(await store.set("sid", mine)).toBe("GONE");
    await faults.arrive();
    expect(await seen(other)).toBeNull();
  });

  test("is saved again by a serializer that never writes the same text twice", async () => {
    const salted: TextSerializer = {
      parse: (text) => JSON.parse(text.slice(8)),
      stringify: (one) => randomBytes(4).toString("hex") + JSON.stringify(one),
    };
    const { faults, store, other, mine } = await loaded({ n: 1 }, { serializer: salted });
    mine.n = 2;
    await failing({ faults, store }, fault, () => store.set("sid", mine));
    expect(await store.set("sid", mine)).toBe("OK");
    await faults.arrive();
    expect(await seen(other)).toEqual({ n: 2 });
  });

  test("leaves a mark in Redis that stays, and that no app sees", async () => {
    const { faults, store, other, raw, key, mine } = await loaded({ n: 1 });
    mine.n = 2;
    await failing({ faults, store }, fault, () => store.set("sid", mine));
    expect(await store.set("sid", mine)).toBe("OK");
    const { __mark: mark } = JSON.parse((await raw.get(key)) as string);
    expect(mark).toMatch(/^[\w-]{8}$/);
    const next = await load(other, "sid");
    next.n = 3;
    expect(await other.set("sid", next)).toBe("OK");
    expect(JSON.parse((await raw.get(key)) as string)).toMatchObject({ n: 3, __mark: mark });
    expect(await seen(store)).toEqual({ n: 3 });
  });

  test("that is the first one of a session is saved again", async () => {
    const faults = faulty(await connect());
    const store = makeStore(faults.client, { timeout: 200 }) as RedisStore;
    await warmUp(store);
    const app = express();
    app.use(session({ secret: "test", resave: false, saveUninitialized: false, store }));
    app.get("/", (req, res) => {
      const mine = req.session as unknown as AppSession;
      mine.n = 1;
      faults.fate = writes(fault);
      const stop = keepAlive(store);
      req.session.save((error: { code?: string } | null) => {
        stop();
        faults.fate = () => undefined;
        mine.n = 2;
        const again = () =>
          req.session.save((second: unknown) => {
            faults.arrive().then(
              () => res.json({ sid: req.sessionID, code: error?.code, second: String(second) }),
              () => res.sendStatus(500),
            );
          });
        answering(store).then(again, () => res.sendStatus(500));
      });
    });
    const { body } = await request(app).get("/");
    expect(body).toMatchObject({ code: "ERR_TIMEOUT", second: "null" });
    expect(await store.get(body.sid)).toMatchObject({ n: 2 });
  });

  test("with the last writer's rule is taken back too", async () => {
    const { faults, store, other, mine } = await loaded(
      { role: "user" },
      { conflict: "overwrite" },
    );
    mine.role = "admin";
    await failing({ faults, store }, fault === "late" ? "lose" : fault, () =>
      store.set("sid", mine),
    );
    mine.role = "user";
    expect(await store.set("sid", mine)).toBe("OK");
    expect(await seen(other)).toEqual({ role: "user" });
  });
});

test("a late answer settles what became of a save", async () => {
  const { faults, store, other, mine } = await loaded({ n: 1 });
  mine.n = 2;
  await failing({ faults, store }, "lose", () => store.set("sid", mine));
  const theirs = await load(other, "sid");
  // By what is there it looks as if the save had never happened.
  theirs.n = 1;
  await other.set("sid", theirs);
  faults.answer();
  await new Promise((resolve) => setImmediate(resolve));
  mine.m = 1;
  expect(await store.set("sid", mine)).toBe("MERGED");
  expect(await seen(other)).toEqual({ n: 1, m: 1 });
});

test("a conflict function gets what the object was when a save of it landed", async () => {
  const calls: unknown[] = [];
  const conflict: RedisStoreOptions["conflict"] = (ancestor, current, mine) => {
    calls.push((ancestor as AppSession).n);
    return { ...current, ...mine };
  };
  const { faults, store, other, mine } = await loaded({ n: 1 }, { conflict });
  mine.n = 2;
  await failing({ faults, store }, "lose", () => store.set("sid", mine));
  const theirs = await load(other, "sid");
  theirs.m = 1;
  await other.set("sid", theirs);
  mine.n = 3;
  await store.set("sid", mine);
  expect(calls).toEqual([2]);
});

describe("a logout whose answer does not come", () => {
  test.each(fates)(
    "is repeated when Redis answers, and until then nothing of this process writes the session (%s)",
    async (fault) => {
      const { faults, store, other, mine } = await loaded({ n: 1 });
      const again = await load(store, "sid");
      await failing({ faults, store }, fault, () => store.destroy("sid"));
      faults.fate = writes("drop");
      mine.n = 2;
      // Nothing is sent, and so nothing has to time out.
      expect(await store.set("sid", mine)).toBe("GONE");
      expect(await store.touch("sid", again)).toBe("EXPIRED");
      faults.fate = () => undefined;
      await until(async () => (await other.get("sid")) === null);
      expect(await store.set("sid", mine)).toBe("GONE");
    },
  );

  test("is taken back by what the app stores anew under that id", async () => {
    const { faults, store, other } = await loaded({ n: 1 });
    await failing({ faults, store }, "drop", () => store.destroy("sid"));
    await store.set("sid", sessionOf({ n: 2 }));
    let asked = 0;
    faults.fate = ([name]) => {
      if (String(name) === "GET") asked++;
      return undefined;
    };
    // The time in which the removal would have been repeated, twice.
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(asked).toBe(0);
    expect(await seen(other)).toEqual({ n: 2 });
  });
});

test("a login in doubt that is taken back leaves no place taken, and a touch takes back a cookie in doubt", async () => {
  const userId = (one: SessionData) => (one as AppSession).user as string | undefined;
  const options: Options = { userId, maxSessionsPerUser: 1, onLimit: "reject" };
  const { faults, store, other, raw, key, mine } = await loaded({ n: 1 }, options);
  mine.user = "ada";
  await failing({ faults, store }, "lose", () => store.set("sid", mine));
  delete mine.user;
  expect(await store.set("sid", mine)).toBe("OK");
  // The place was perhaps taken; it is given back as soon as Redis answers.
  await until(() =>
    other.set("second", sessionOf({ user: "ada" })).then(
      () => true,
      (error: { code?: string }) => {
        expect(error.code).toBe("ERR_TOO_MANY_SESSIONS");
        return false;
      },
    ),
  );
  mine.cookie.maxAge = 3_600_000;
  await failing({ faults, store }, "lose", () => store.touch("sid", mine));
  mine.cookie.maxAge = 600_000;
  expect(await store.touch("sid", mine)).toBe("OK");
  expect(await raw.pttl(key)).toBeLessThanOrEqual(660_000);
  expect(await seen(other)).toEqual({ n: 1 });
});

test("a touch of a session whose user was taken back by a save without an answer renews it", async () => {
  const userId = (one: SessionData) => (one as AppSession).user as string | undefined;
  const { faults, store, other, raw, key, mine } = await loaded({ user: "ada" }, { userId });
  delete mine.user;
  await failing({ faults, store }, "lose", () => store.set("sid", mine));
  mine.cookie.maxAge = 600_000;
  expect(await store.touch("sid", mine)).toBe("OK");
  expect(await raw.pttl(key)).toBeLessThanOrEqual(660_000);
  expect(await seen(other)).toEqual({});
});

describe("a save that comes late finds nothing any more that it expects", () => {
  test("though another request has made the session again what it was", async () => {
    const { faults, store, other, mine } = await loaded({ n: 1 });
    mine.n = 2;
    await failing({ faults, store }, "late", () => store.set("sid", mine));
    mine.n = 3;
    expect(await store.set("sid", mine)).toBe("OK");
    const next = await load(other, "sid");
    next.n = 1;
    expect(await other.set("sid", next)).toBe("OK");
    await faults.arrive();
    expect(await seen(other)).toEqual({ n: 1 });
  });

  test("though the same request has, when it had found a later save of its own", async () => {
    const { faults, store, other, mine } = await loaded({ n: 1 });
    mine.n = 2;
    await failing({ faults, store }, "late", () => store.set("sid", mine));
    await failing({ faults, store }, "lose", () => store.set("sid", mine));
    mine.n = 1;
    await store.set("sid", mine);
    await faults.arrive();
    expect(await seen(other)).toEqual({ n: 1 });
  });
});

test("a save without an answer is not taken for done because another request has put an object there, too", async () => {
  const { faults, store, other, mine } = await loaded({ n: 1 });
  const theirs = await load(other, "sid");
  mine.cart = { color: "red" };
  await failing({ faults, store }, "drop", () => store.set("sid", mine));
  theirs.cart = { color: "blue" };
  expect(await other.set("sid", theirs)).toBe("OK");
  await store.set("sid", mine);
  expect(await seen(other)).toEqual({ n: 1, cart: { color: "red" } });
});

test("a renewal of a session with a mark writes nothing", async () => {
  const { faults, store, raw, key, mine } = await loaded({ n: 1 });
  mine.n = 2;
  await failing({ faults, store }, "drop", () => store.set("sid", mine));
  expect(await store.set("sid", mine)).toBe("OK");
  const marked = await raw.get(key);
  const next = await load(store, "sid");
  expect(await store.touch("sid", next)).toBe("OK");
  expect(await store.set("sid", next)).toBe("OK");
  expect(await raw.get(key)).toBe(marked);
});

test("a save without an answer is not taken for done because another request has removed the same", async () => {
  const { faults, store, other, mine } = await loaded({ cart: { a: 1 } });
  const theirs = await load(other, "sid");
  mine.cart = { color: "red" };
  await failing({ faults, store }, "drop", () => store.set("sid", mine));
  theirs.cart = { color: "blue" };
  expect(await other.set("sid", theirs)).toBe("OK");
  await store.set("sid", mine);
  expect(await seen(other)).toEqual({ cart: { color: "red" } });
});

test("a removal without an answer is known by what is not there, though another request wrote on top", async () => {
  const { faults, store, other, mine } = await loaded({ n: 1, flash: "hello" });
  delete mine.flash;
  await failing({ faults, store }, "lose", () => store.set("sid", mine));
  const theirs = await load(other, "sid");
  theirs.flash = "again";
  expect(await other.set("sid", theirs)).toBe("OK");
  delete theirs.flash;
  theirs.n = 2;
  expect(await other.set("sid", theirs)).toBe("OK");
  await store.set("sid", mine);
  expect(await seen(other)).toEqual({ n: 2 });
});

test("a save without an answer is not taken for done because another request has given the cookie the same life", async () => {
  const { faults, store, other, mine } = await loaded({ x: 0 });
  const theirs = await load(other, "sid");
  mine.cookie.maxAge = 9_000_000;
  mine.x = 1;
  await failing({ faults, store }, "drop", () => store.set("sid", mine));
  theirs.cookie.maxAge = 9_000_000;
  theirs.x = 2;
  expect(await other.set("sid", theirs)).toBe("OK");
  mine.y = 1;
  await store.set("sid", mine);
  expect(await seen(other)).toEqual({ x: 1, y: 1 });
});

test("a save without an answer that changed nothing but the cookie is known by that", async () => {
  const { faults, store, other, raw, key, mine } = await loaded({ n: 1 });
  const before = mine.cookie.maxAge;
  mine.cookie.maxAge = 9_000_000;
  await failing({ faults, store }, "lose", () => store.set("sid", mine));
  const theirs = await load(other, "sid");
  theirs.n = 2;
  expect(await other.set("sid", theirs)).toBe("OK");
  mine.cookie.maxAge = before;
  await store.set("sid", mine);
  expect(JSON.parse((await raw.get(key)) as string)).toMatchObject({
    n: 2,
    cookie: { originalMaxAge: null },
  });
});

test("a save without an answer is not taken for done because another request has stored the same beside another cookie", async () => {
  const { faults, store, other, raw, key, mine } = await loaded({ n: 1 });
  const theirs = await load(other, "sid");
  mine.cookie.maxAge = 9_000_000;
  mine.n = 2;
  await failing({ faults, store }, "drop", () => store.set("sid", mine));
  theirs.n = 2;
  expect(await other.set("sid", theirs)).toBe("OK");
  await store.set("sid", mine);
  expect(JSON.parse((await raw.get(key)) as string)).toMatchObject({
    n: 2,
    cookie: { originalMaxAge: 9_000_000 },
  });
});

test("a removal without an answer is made good, though the save before it was heard of only later", async () => {
  const { faults, store, other, mine } = await loaded({ n: 1 });
  mine.y = 1;
  mine.box = { full: true };
  await failing({ faults, store }, "lose", () => store.set("sid", mine));
  delete mine.box;
  await failing({ faults, store }, "drop", () => store.set("sid", mine));
  const theirs = await load(other, "sid");
  theirs.cookie.maxAge = 9_000_000;
  expect(await other.set("sid", theirs)).toBe("OK");
  faults.answer();
  await new Promise((resolve) => setImmediate(resolve));
  await store.set("sid", mine);
  expect(await seen(other)).toEqual({ n: 1, y: 1 });
});
