import type { Request, Response } from "express";
import type { SessionData } from "express-session";
import request from "supertest";
import type { RedisStore } from "../../lib/index.js";
import { COMPARE_AND_RENEW } from "../../lib/save/scripts.js";
import { record } from "../support/recording.js";
import { generated, load, pair, warmUp } from "../support/requests.js";
import {
  type AppSession,
  connect,
  inMs,
  makeApp,
  makeStore,
  rawOf,
  refusal,
  sessionOf,
  unlessSealed,
  visit,
} from "../support/store.js";
import { through } from "../support/through.js";

test("a date that the app sets by hand on a plain session survives a merge", async () => {
  const { here, there, sid, raw, key, pttl } = await pair({ n: 1 });
  const mine = (await here.get(sid)) as AppSession;
  const other = (await there.get(sid)) as AppSession;
  other.m = 1;
  await there.set(sid, other);
  const date = inMs(3_600_000);
  mine.cookie.expires = date;
  mine.n = 2;
  expect(await here.set(sid, mine)).toBe("MERGED");
  const stored = JSON.parse((await raw.get(key)) as string);
  expect(stored).toMatchObject({ n: 2, m: 1, cookie: { expires: date.toISOString() } });
  expect(Math.abs((await pttl()) - 3_600_000)).toBeLessThan(61_000);
});

test("what another process wrote anew is renewed in full, whatever this one remembers", async () => {
  const { here, there, sid, pttl } = await pair({ n: 1 }, { ttl: 60, touchAfter: 60 });
  await here.touch(sid, await load(here, sid));
  // Exact, and so shorter by the slack than what the renewal has left behind.
  await there.set(sid, sessionOf({ n: 2 }, { path: "/" }));
  await new Promise((resolve) => setTimeout(resolve, 20));
  const before = Date.now();
  await here.touch(sid, await load(here, sid));
  expect(await pttl()).toBeGreaterThanOrEqual(60_000 - (Date.now() - before));
});

test("a clock that is set back ends no session early", async () => {
  const { here, sid, pttl } = await pair({ n: 1 }, { ttl: 60, touchAfter: 60 });
  await here.touch(sid, await load(here, sid));
  const real = Date.now;
  const clock = jest.spyOn(Date, "now").mockImplementation(() => real() - 500);
  try {
    // By now it has less than its minute; by the wall clock it would have 300 ms more.
    await new Promise((resolve) => setTimeout(resolve, 1200));
    const before = process.hrtime.bigint();
    await here.touch(sid, await load(here, sid));
    const left = await pttl();
    expect(left).toBeGreaterThanOrEqual(60_000 - Number(process.hrtime.bigint() - before) / 1e6);
  } finally {
    clock.mockRestore();
  }
});

test("bytes that are no UTF-8 are a corrupt session at once, not a conflict", async () => {
  const recording = record(await connect());
  const store = makeStore(recording.client) as RedisStore;
  const raw = rawOf(await connect());
  await warmUp(store);
  const bytes = Buffer.concat([
    Buffer.from('{"cookie":{"originalMaxAge":null},"n":"'),
    Buffer.from([0xff, 0xfe]),
    Buffer.from('"}'),
  ]);
  await raw.set(`${store.prefix}sid`, bytes);
  await raw.send("PEXPIRE", `${store.prefix}sid`, "60000");
  const session = (await store.get("sid")) as AppSession;
  recording.names();
  expect(await refusal(store.touch("sid", session))).toMatchObject({ code: "ERR_CORRUPT_SESSION" });
  session.n = 1;
  expect(await refusal(store.set("sid", session))).toMatchObject({ code: "ERR_CORRUPT_SESSION" });
  expect(recording.names().length).toBeLessThan(8);
});

test("a conflict function that rejects with nothing fails its own save and no logout", async () => {
  const conflict = () => Promise.reject<SessionData>(undefined);
  const { here, mine, other, sid, saveOther } = await pair({ n: 1 }, { conflict });
  other.m = 1;
  await saveOther();
  mine.n = 2;
  const [saved, ended] = await Promise.allSettled([here.set(sid, mine), here.destroy(sid)]);
  expect(saved.status).toBe("rejected");
  expect(ended).toEqual({ status: "fulfilled", value: 1 });
});

test("a userId that throws in a merge is an invalid session", async () => {
  let isBroken = false;
  const userId = (session: SessionData) => {
    if (isBroken && (session as AppSession).m !== undefined) throw new TypeError("no user");
    return undefined;
  };
  const { other, mine, saveMine, saveOther } = await pair({ n: 1 }, { userId });
  other.m = 1;
  await saveOther();
  mine.n = 2;
  isBroken = true;
  expect(await refusal(saveMine())).toMatchObject({ code: "ERR_INVALID_SESSION" });
});

test("the first save of a new session that finds another one there is merged with it", async () => {
  const store = makeStore(await connect()) as RedisStore;
  const app = makeApp(
    store,
    {
      "/": (req, res) => {
        Object.assign(req.session, { mine: 1 });
        store.set("app-made", sessionOf({ theirs: 1 }), () => res.sendStatus(200));
      },
    },
    { genid: () => "app-made" },
  );
  await request(app).get("/").expect(200);
  expect(await store.get("app-made")).toMatchObject({ mine: 1, theirs: 1 });
});

unlessSealed.test(
  "a new session that another process has stored as the very same text gets its full life, also where a third one changes it then",
  async () => {
    const client = await connect();
    const raw = rawOf(client);
    const other = makeStore(client) as RedisStore;
    const key = `${other.prefix}sid`;
    const passed: string[] = [];
    /** Another process has something stored that has a minute left. */
    const storeForAMinute = async (name: string, session: SessionData) => {
      passed.push(name);
      expect(await other.set("sid", session)).toBe("OK");
      await raw.send("PEXPIRE", key, "60000");
    };
    const between = through(client, async (command, send) => {
      if (command.includes("NX")) await storeForAMinute("same", generated("sid", { n: 1 }));
      if (command[1] === COMPARE_AND_RENEW.sha && passed.length === 1) {
        await storeForAMinute("changed", Object.assign(await load(other, "sid"), { m: 1 }));
      }
      return send();
    });
    const store = makeStore(between, { prefix: other.prefix, ttl: 3600 });
    await store.set("sid", generated("sid", { n: 1 }));
    expect(passed).toEqual(["same", "changed"]);
    expect(await other.get("sid")).toMatchObject({ n: 1, m: 1 });
    expect(await raw.pttl(key)).toBeGreaterThan(120_000);
  },
);

test("the first save of a new session never mixes two users", async () => {
  const store = makeStore(await connect(), {
    userId: (session) => (session as AppSession).user as string | undefined,
  }) as RedisStore;
  const app = makeApp(
    store,
    {
      "/": (req, res) => {
        Object.assign(req.session, { user: "ada" });
        store.set("app-made", sessionOf({ user: "bob" }), () => res.sendStatus(200));
      },
    },
    { genid: () => "app-made" },
  );
  await request(app).get("/").expect(200);
  expect(await store.get("app-made")).toMatchObject({ user: "bob" });
});

test("a Proxy around req.session brings back no session that was ended", async () => {
  const store = makeStore(await connect()) as RedisStore;
  const handlers = {
    "/in": visit,
    "/": (req: Request, res: Response) => {
      const original = req.session;
      req.session = new Proxy(original, {});
      (req.session as unknown as AppSession).n = 1;
      store.destroy(req.sessionID, () => res.sendStatus(200));
    },
  };
  const app = makeApp(store, handlers);
  const agent = request.agent(app);
  await agent.get("/in").expect(200);
  await agent.get("/").expect(200);
  expect(await store.length()).toBe(0);
});
