import type { RequestHandler } from "express";
import express from "express";
import session from "express-session";
import supertest from "supertest";
import { RedisStore } from "../../lib/index.js";
import { record } from "../support/recording.js";
import {
  type AppSession,
  connect,
  freshPrefix,
  makeApp,
  makeStore,
  rawOf,
  read,
  sessionOf,
  type TestClient,
  visit,
} from "../support/store.js";

let client: TestClient;
beforeAll(async () => {
  client = await connect();
});

/** The session of a request, with whatever the app keeps in it. */
const own = (req: express.Request) => req.session as unknown as AppSession;

const handlers: Record<string, RequestHandler> = {
  "/visit": visit,
  "/read": read,
  "/login": (req, res, next) => {
    req.session.regenerate((error: unknown) => {
      if (error) return next(error);
      own(req).user = req.query.user;
      req.session.save((failed: unknown) => (failed ? next(failed) : res.send(req.sessionID)));
    });
  },
  "/logout": (req, res, next) => {
    req.session.destroy((error: unknown) => (error ? next(error) : res.send(typeof req.session)));
  },
  "/drop": (req, res) => {
    Object.assign(req, { session: null });
    res.send("dropped");
  },
  "/reload": (req, res, next) => {
    own(req).unsaved = true;
    req.session.reload((error: unknown) => {
      if (error) return next(error);
      own(req).reloaded = true;
      res.json(Object.keys(req.session));
    });
  },
  "/save-twice": (req, res, next) => {
    own(req).first = 1;
    req.session.save((error: unknown) => {
      if (error) return next(error);
      own(req).second = 2;
      res.send("saved");
    });
  },
  "/save-without-callback": (req, res) => {
    own(req).silent = true;
    req.session.save();
    res.send("saved");
  },
  "/touch": (req, res) => {
    req.session.touch();
    res.send("touched");
  },
  "/nested": (req, res) => {
    own(req).basket ??= { apples: 0 };
    const basket = own(req).basket as { apples: number };
    basket.apples++;
    res.json(basket);
  },
  "/forget": (req, res) => {
    delete own(req).visits;
    res.send("forgotten");
  },
};

const ways: [string, object, object][] = [
  ["the defaults", {}, {}],
  ["resave", { resave: true }, {}],
  ["saveUninitialized", { saveUninitialized: true }, {}],
  ["resave and saveUninitialized", { resave: true, saveUninitialized: true }, {}],
  ["rolling", { rolling: true, cookie: { maxAge: 60_000 } }, {}],
  ["maxAge", { cookie: { maxAge: 60_000 } }, {}],
  ["a fixed date", { cookie: { expires: new Date(Date.now() + 60_000) } }, {}],
  [
    "all at once",
    { resave: true, saveUninitialized: true, rolling: true, cookie: { maxAge: 60_000 } },
    {},
  ],
  ["a fixed end", {}, { rolling: false, absoluteTtl: 600 }],
  ["no expiry", {}, { disableTTL: true }],
  ["no touch", { cookie: { maxAge: 60_000 } }, { disableTouch: true }],
  ["the last writer winning", {}, { conflict: "overwrite" }],
];

describe.each(ways)("an app with %s", (_, options, storeOptions) => {
  function start(more: object = {}) {
    const store = makeStore(client, storeOptions);
    const app = makeApp(store, handlers, { ...options, ...more });
    return { store, app, agent: supertest.agent(app) };
  }

  test("keeps what it puts into a session, and what it takes out", async () => {
    const { store, app, agent } = start();
    for (let n = 1; n < 4; n++) expect((await agent.get("/visit")).text).toBe(String(n));
    expect((await agent.get("/nested")).body).toEqual({ apples: 1 });
    expect((await agent.get("/nested")).body).toEqual({ apples: 2 });
    expect((await agent.get("/read")).body).toEqual({ visits: 3, basket: { apples: 2 } });
    await agent.get("/forget");
    await agent.get("/touch");
    expect((await agent.get("/read")).body).toEqual({ basket: { apples: 2 } });
    expect((await agent.get("/visit")).text).toBe("1");
    expect(await store.length()).toBe(1);
    expect(app.errors).toEqual([]);
  });

  test("regenerates: a new id, and the old session is gone", async () => {
    const { store, app, agent } = start();
    await agent.get("/visit");
    const [old = ""] = await store.ids();
    const id = (await agent.get("/login?user=ann")).text;
    expect(id).not.toBe(old);
    expect(await store.ids()).toEqual([id]);
    expect((await agent.get("/read")).body).toEqual({ user: "ann" });
    const next = (await agent.get("/login?user=bob")).text;
    expect(await store.ids()).toEqual([next]);
    expect((await agent.get("/read")).body).toEqual({ user: "bob" });
    expect(app.errors).toEqual([]);
  });

  test("destroys: the session is gone, and the browser's cookie brings it not back", async () => {
    const { store, app, agent } = start();
    await agent.get("/visit");
    expect((await agent.get("/logout")).text).toBe("undefined");
    expect(await store.length()).toBe(0);
    expect((await agent.get("/visit")).text).toBe("1");
    expect(app.errors).toEqual([]);
  });

  test.each(["destroy", "keep"] as const)('req.session = null, with unset: "%s"', async (unset) => {
    const { store, app, agent } = start({ unset });
    await agent.get("/visit");
    await agent.get("/drop");
    expect(await store.length()).toBe(unset === "destroy" ? 0 : 1);
    expect((await agent.get("/visit")).text).toBe(unset === "destroy" ? "1" : "2");
    expect(app.errors).toEqual([]);
  });

  test("reloads: what was not saved is dropped, what comes after is saved", async () => {
    const { app, agent } = start();
    await agent.get("/visit");
    expect((await agent.get("/reload")).body).not.toContain("unsaved");
    expect((await agent.get("/read")).body).toEqual({ visits: 1, reloaded: true });
    await agent.get("/reload");
    expect((await agent.get("/visit")).text).toBe("2");
    expect(app.errors).toEqual([]);
  });

  test("saves in the middle of a request and again at its end", async () => {
    const { app, agent } = start();
    await agent.get("/save-twice");
    expect((await agent.get("/read")).body).toEqual({ first: 1, second: 2 });
    await agent.get("/save-without-callback");
    await agent.get("/save-twice");
    expect((await agent.get("/read")).body).toEqual({ first: 1, second: 2, silent: true });
    expect(app.errors).toEqual([]);
  });
});

test("saveUninitialized decides whether a visitor without data has a session", async () => {
  for (const saveUninitialized of [true, false]) {
    const store = makeStore(client);
    const app = makeApp(store, handlers, { saveUninitialized });
    const answer = await supertest(app).get("/read");
    expect(await store.length()).toBe(saveUninitialized ? 1 : 0);
    expect(answer.headers["set-cookie"]?.length ?? 0).toBe(saveUninitialized ? 1 : 0);
  }
});

test("rolling: true gives the browser a cookie with each response", async () => {
  const app = makeApp(makeStore(client), handlers, { rolling: true, cookie: { maxAge: 60_000 } });
  const agent = supertest.agent(app);
  await agent.get("/visit");
  expect((await agent.get("/read")).headers["set-cookie"]).toHaveLength(1);
});

test("resave: true of a session that nobody changed writes nothing new", async () => {
  const { client: recorded, commands } = record(client);
  const store = makeStore(recorded);
  const agent = supertest.agent(makeApp(store, handlers, { resave: true }));
  await agent.get("/visit");
  const [sid = ""] = await store.ids();
  const text = await rawOf(client).get(store.prefix + sid);
  commands.length = 0;
  for (let n = 0; n < 3; n++) await agent.get("/read");
  expect(await rawOf(client).get(store.prefix + sid)).toBe(text);
  expect(commands.some((words) => words[0] === "SET")).toBe(false);
});

test("a reload of a session that is gone is an error of the app, not a crash", async () => {
  const store = makeStore(client);
  const app = makeApp(store, {
    ...handlers,
    "/lose": (req, _res, next) => {
      void store.clear().then(() => {
        req.session.reload((error: unknown) => next(error));
      });
    },
  });
  const agent = supertest.agent(app);
  await agent.get("/visit");
  expect((await agent.get("/lose")).status).toBe(500);
  expect(String(app.errors[0])).toContain("failed to load session");
});

test("one store behind two middlewares serves both", async () => {
  const store = makeStore(client);
  const options = { secret: "test", resave: false, saveUninitialized: false, store };
  const app = express();
  app.use(session(options), session(options));
  app.get("/visit", visit);
  const admin = express.Router();
  admin.use(session({ ...options, name: "admin.sid" }));
  const outer = express();
  outer.use("/admin", admin, visit);
  outer.use(app);
  const agent = supertest.agent(outer);
  expect((await agent.get("/visit")).text).toBe("1");
  expect((await agent.get("/admin")).text).toBe("1");
  expect((await agent.get("/visit")).text).toBe("2");
  expect((await agent.get("/admin")).text).toBe("2");
  expect(await store.length()).toBe(2);
});

test("two stores with prefixes of their own keep the sessions of two apps apart", async () => {
  const base = freshPrefix();
  const shop = new RedisStore({ client, prefix: `${base}shop:` });
  const blog = new RedisStore({ client, prefix: `${base}blog:` });
  const genid = () => "same";
  const inShop = supertest.agent(makeApp(shop, handlers, { genid }));
  const inBlog = supertest.agent(makeApp(blog, handlers, { genid }));
  await inShop.get("/visit");
  await inShop.get("/visit");
  await inBlog.get("/visit");
  expect(await shop.clear()).toBe(1);
  expect((await inBlog.get("/visit")).text).toBe("2");
  expect((await inShop.get("/visit")).text).toBe("1");
});

describe("outside of a request", () => {
  test("store.load gives a Session that can be saved", async () => {
    const store = makeStore(client);
    const agent = supertest.agent(makeApp(store, handlers, { cookie: { maxAge: 60_000 } }));
    await agent.get("/visit");
    const [sid = ""] = await store.ids();
    const loaded = await new Promise<AppSession & session.Session>((resolve, reject) => {
      store.load(sid, (error: unknown, found) =>
        error ? reject(error) : resolve(found as unknown as AppSession & session.Session),
      );
    });
    expect(loaded.id).toBe(sid);
    expect(loaded.cookie.expires).toBeInstanceOf(Date);
    expect(loaded.cookie.originalMaxAge).toBeGreaterThan(59_000);
    loaded.visits = 10;
    await new Promise<void>((resolve, reject) => {
      loaded.save((error: unknown) => (error ? reject(error) : resolve()));
    });
    expect((await agent.get("/visit")).text).toBe("11");
    await agent.get("/logout");
    loaded.visits = 20;
    expect(await store.set(sid, loaded)).toBe("GONE");
    expect(await store.length()).toBe(0);
  });

  test("store.load of nothing gives nothing", async () => {
    const store = makeStore(client);
    const found = await new Promise((resolve, reject) => {
      store.load("none", (error: unknown, one) => (error ? reject(error) : resolve(one)));
    });
    expect(found).toBeUndefined();
  });

  test("createSession makes a Session of any record", async () => {
    const store = makeStore(client);
    const req = { sessionID: "sid", sessionStore: store } as unknown as express.Request;
    for (const cookie of [undefined, null, "text", 7, {}]) {
      const made = store.createSession(req, { a: 1, cookie } as never);
      expect(made).toMatchObject({ a: 1, cookie: { path: "/", httpOnly: true } });
      expect(made.cookie.maxAge ?? null).toBeNull();
    }
  });

  test("a session put there by hand is served to the browser that has its id", async () => {
    const store = makeStore(client);
    const app = makeApp(store, handlers, { genid: () => "by-hand" });
    const agent = supertest.agent(app);
    await agent.get("/visit");
    expect(await store.set("by-hand", sessionOf({ visits: 40 }))).toBe("OK");
    expect((await agent.get("/visit")).text).toBe("41");
  });
});
