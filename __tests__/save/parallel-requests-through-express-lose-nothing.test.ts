import flash from "connect-flash";
import type { Request, RequestHandler, Response } from "express";
import express from "express";
import session, { type SessionOptions } from "express-session";
import passport from "passport";
import supertest from "supertest";
import type { RedisStore } from "../../lib/index.js";
import {
  type App,
  type AppSession,
  connect,
  makeApp,
  makeStore,
  rawOf,
  read,
  type TestClient,
} from "../support/store.js";

let client: TestClient;
let raw: ReturnType<typeof rawOf>;
beforeAll(async () => {
  client = await connect();
  raw = rawOf(client);
});

const DAY = 86_400_000;

const asked = (req: Request) => req.query as Record<string, string>;
const own = (req: Request) => req.session as unknown as AppSession;

/** A handler that stays in the middle of its work until the test lets it go on. */
function slow(work: (req: Request, res: Response) => void | Promise<void>) {
  let arrived: () => void = () => {};
  let goOn: () => void = () => {};
  const state = {
    arrived: new Promise<void>((resolve) => {
      arrived = resolve;
    }),
    goOn: () => goOn(),
  };
  const waiting = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const handler: RequestHandler = async (req, res) => {
    arrived();
    await waiting;
    await work(req, res);
  };
  return { ...state, handler };
}

const set: RequestHandler = (req, res) => {
  const { key = "", value } = asked(req);
  own(req)[key] = value;
  res.send("set");
};

/** Sends a request now: supertest waits until somebody asks for the answer. */
function send(app: App, path: string, cookie: string) {
  return supertest(app)
    .get(path)
    .set("Cookie", cookie)
    .then((response) => response);
}

function cookieOf(response: { headers: Record<string, string> }): string {
  const [line = ""] = (response.headers["set-cookie"] as unknown as string[] | undefined) ?? [];
  return line.split(";")[0] as string;
}

/** The key of the only session of a store. */
async function onlyKey(store: RedisStore): Promise<string> {
  const ids = await store.ids();
  expect(ids).toHaveLength(1);
  return store.prefix + ids[0];
}

async function stored(store: RedisStore): Promise<AppSession> {
  return JSON.parse((await raw.get(await onlyKey(store))) ?? "null") as AppSession;
}

const settings: [string, Partial<SessionOptions>][] = [
  ["session cookies", {}],
  ["resave", { resave: true }],
  ["saveUninitialized", { saveUninitialized: true }],
  ["maxAge", { cookie: { maxAge: 3_600_000 } }],
  ["maxAge and rolling", { cookie: { maxAge: 3_600_000 }, rolling: true }],
  [
    "all of them",
    { cookie: { maxAge: 3_600_000 }, rolling: true, resave: true, saveUninitialized: true },
  ],
];

describe.each(settings)("with %s", (_, options) => {
  /** Two servers with one session, and requests of it. */
  async function servers(handlers: Record<string, RequestHandler>) {
    const store = makeStore(client);
    const other = makeStore(await connect(), { prefix: store.prefix });
    const all = { "/set": set, "/read": read, ...handlers };
    const here = makeApp(store, all, options);
    const there = makeApp(other, all, options);
    const cookie = cookieOf(await supertest(here).get("/set?key=user&value=ann"));
    return { store, here, there, cookie };
  }

  test("two requests at once both keep their change", async () => {
    const request = slow((req, res) => {
      own(req).slow = "1";
      res.send("slow");
    });
    const { store, here, there, cookie } = await servers({ "/slow": request.handler });
    const answer = send(here, "/slow", cookie);
    await request.arrived;
    await send(there, "/set?key=fast&value=1", cookie);
    request.goOn();
    expect((await answer).status).toBe(200);
    expect(await stored(store)).toMatchObject({ user: "ann", slow: "1", fast: "1" });
    expect([...here.errors, ...there.errors]).toEqual([]);
  });

  test("a slow request that only reads undoes nothing", async () => {
    const request = slow((_req, res) => {
      res.send("slow");
    });
    const { store, here, there, cookie } = await servers({ "/slow": request.handler });
    const answer = send(here, "/slow", cookie);
    await request.arrived;
    await send(there, "/set?key=user&value=bob", cookie);
    request.goOn();
    await answer;
    expect(await stored(store)).toMatchObject({ user: "bob" });
  });

  test.each<[string, Partial<SessionOptions>, RequestHandler]>([
    ["destroy", {}, (req, res) => req.session.destroy(() => res.send("bye"))],
    ["regenerate", {}, (req, res) => req.session.regenerate(() => res.send("bye"))],
    [
      "regenerate and a new login",
      {},
      (req, res) =>
        req.session.regenerate(() => {
          own(req).user = "bob";
          res.send("bye");
        }),
    ],
    [
      'req.session = null with unset: "destroy"',
      { unset: "destroy" },
      (req, res) => {
        Object.assign(req, { session: null });
        res.send("bye");
      },
    ],
  ])(
    "a slow request does not bring back a session that ended by %s",
    async (_name, more, logout) => {
      for (const change of [true, false]) {
        const request = slow((req, res) => {
          if (change) own(req).cart = [1];
          res.send("slow");
        });
        const handlers = {
          "/set": set,
          "/read": read,
          "/slow": request.handler,
          "/logout": logout,
        };
        const store = makeStore(client);
        const discarded: unknown[] = [];
        store.on("discarded", (_sid, reason) => discarded.push(reason));
        const app = makeApp(store, handlers, { ...options, ...more });
        const cookie = cookieOf(await supertest(app).get("/set?key=user&value=ann"));
        const key = await onlyKey(store);
        const answer = send(app, "/slow", cookie);
        await request.arrived;
        expect((await send(app, "/logout", cookie)).text).toBe("bye");
        request.goOn();
        expect((await answer).text).toBe("slow");
        expect(await raw.exists(key)).toBe(false);
        expect((await send(app, "/read", cookie)).body).toEqual({});
        expect(await raw.exists(key)).toBe(false);
        expect(app.errors).toEqual([]);
        if (change) expect(discarded).toEqual(["missing"]);
      }
    },
  );

  test("a save in the middle and one at the end keep what came between them", async () => {
    let results: unknown[] = [];
    const request = slow(async (req, res) => {
      own(req).step = "1";
      const first = await saved(req);
      await send(there, "/set?key=between&value=1", cookie);
      own(req).step = "2";
      const second = await saved(req);
      own(req).step = "3";
      results = [first, second];
      res.send("slow");
    });
    const { store, here, there, cookie } = await servers({ "/slow": request.handler });
    const answer = send(here, "/slow", cookie);
    await request.arrived;
    await send(there, "/set?key=before&value=1", cookie);
    request.goOn();
    await answer;
    expect(results).toEqual(["MERGED", "MERGED"]);
    expect(await stored(store)).toMatchObject({ step: "3", before: "1", between: "1" });
  });

  test("reload shows what others changed; what this request changes then is kept with it", async () => {
    let seen: unknown;
    const request = slow(async (req, res) => {
      own(req).lost = "by the reload";
      await new Promise<void>((resolve, reject) => {
        req.session.reload((error: unknown) => (error ? reject(error) : resolve()));
      });
      seen = own(req).fast;
      await send(there, "/set?key=later&value=1", cookie);
      own(req).slow = "1";
      res.send("slow");
    });
    const { store, here, there, cookie } = await servers({ "/slow": request.handler });
    const answer = send(here, "/slow", cookie);
    await request.arrived;
    await send(there, "/set?key=fast&value=1", cookie);
    request.goOn();
    await answer;
    expect(seen).toBe("1");
    expect(await stored(store)).toMatchObject({ user: "ann", fast: "1", slow: "1", later: "1" });
    expect(await stored(store)).not.toHaveProperty("lost");
  });

  test("30 days that one request asked for survive a slower one", async () => {
    for (const change of [true, false]) {
      const request = slow((req, res) => {
        if (change) own(req).cart = [1];
        res.send("slow");
      });
      const remember: RequestHandler = (req, res) => {
        req.session.cookie.maxAge = 30 * DAY;
        res.send("remembered");
      };
      const { store, here, there, cookie } = await servers({
        "/slow": request.handler,
        "/remember": remember,
      });
      const answer = send(here, "/slow", cookie);
      await request.arrived;
      await send(there, "/remember", cookie);
      request.goOn();
      await answer;
      expect(await raw.pttl(await onlyKey(store))).toBeGreaterThan(30 * DAY - 10_000);
      const { originalMaxAge } = (await stored(store)).cookie;
      expect(originalMaxAge).toBeGreaterThan(30 * DAY - 1000);
      await send(here, "/read", cookie);
      expect(await raw.pttl(await onlyKey(store))).toBeGreaterThan(30 * DAY - 10_000);
    }
  });

  test("a key that is flushed during the request is no error", async () => {
    const request = slow((req, res) => {
      own(req).cart = [1];
      res.send("slow");
    });
    const { store, here, cookie } = await servers({ "/slow": request.handler });
    const key = await onlyKey(store);
    const answer = send(here, "/slow", cookie);
    await request.arrived;
    await raw.send("DEL", key);
    request.goOn();
    expect((await answer).status).toBe(200);
    expect(here.errors).toEqual([]);
    expect(await raw.exists(key)).toBe(false);
  });
});

/** Saves in the middle of a request; the result comes with the callback. */
function saved(req: Request): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const save = req.session.save.bind(req.session) as (
      done: (error: unknown, result?: unknown) => void,
    ) => unknown;
    save((error, result) => (error ? reject(error) : resolve(result)));
  });
}

test("the result of a save reaches the callback of req.session.save", async () => {
  const results: unknown[] = [];
  const store = makeStore(client);
  const app = makeApp(store, {
    "/": async (req, res) => {
      own(req).n = 1;
      results.push(await saved(req));
      await store.set(
        req.sessionID,
        Object.assign((await store.get(req.sessionID)) ?? {}, { o: 1 }) as never,
      );
      own(req).n = 2;
      results.push(await saved(req));
      results.push(await saved(req));
      await store.destroy(req.sessionID);
      results.push(await saved(req));
      res.send("done");
    },
  });
  await supertest(app).get("/");
  expect(results).toEqual(["OK", "MERGED", "OK", "GONE"]);
  expect(await store.length()).toBe(0);
});

test("a save at the end that fails reaches the error handler after the answer, and the session stays", async () => {
  const ttl = (one: object) => ("bad" in one ? Number.NaN : 3600);
  const store = makeStore(client, { ttl });
  const app = makeApp(store, { "/set": set });
  const cookie = cookieOf(await supertest(app).get("/set?key=a&value=1"));
  expect((await send(app, "/set?key=bad&value=1", cookie)).status).toBe(200);
  expect(app.errors).toMatchObject([{ code: "ERR_INVALID_SESSION" }]);
  expect(await stored(store)).toMatchObject({ a: "1" });
  expect(await stored(store)).not.toHaveProperty("bad");
});

test("two middlewares on one store are one session", async () => {
  const store = makeStore(client);
  const app = Object.assign(express(), { errors: [] as unknown[] });
  const options = { secret: "test", resave: false, saveUninitialized: false, store };
  app.use(session(options));
  app.use(session(options));
  app.get("/set", set);
  const cookie = cookieOf(await supertest(app).get("/set?key=a&value=1"));
  await Promise.all([
    send(app, "/set?key=b&value=1", cookie),
    send(app, "/set?key=c&value=1", cookie),
  ]);
  expect(await stored(store)).toMatchObject({ a: "1", b: "1", c: "1" });
});

test("two middlewares with cookies of their own are two sessions of one store", async () => {
  const store = makeStore(client);
  const app = Object.assign(express(), { errors: [] as unknown[] });
  const options = { secret: "test", resave: false, saveUninitialized: false, store };
  app.use("/admin", session({ ...options, name: "admin", cookie: { path: "/admin" } }));
  app.use("/shop", session({ ...options, name: "shop", cookie: { path: "/shop" } }));
  for (const path of ["/admin", "/shop"]) {
    app.get(`${path}/set`, set);
    app.get(`${path}/end`, (req, res) => req.session.destroy(() => res.send("bye")));
  }
  const admin = cookieOf(await supertest(app).get("/admin/set?key=a&value=1"));
  const shop = cookieOf(await supertest(app).get("/shop/set?key=b&value=1"));
  expect(await store.length()).toBe(2);
  const both = `${admin}; ${shop}`;
  await Promise.all([send(app, "/admin/end", both), send(app, "/shop/set?key=c&value=1", both)]);
  expect(await stored(store)).toMatchObject({ b: "1", c: "1" });
});

describe("with what apps keep in a session", () => {
  interface User {
    id: string;
  }
  function loginApp(store: RedisStore, handlers: Record<string, RequestHandler>): App {
    const people = new passport.Passport();
    people.serializeUser((user, done) => done(null, (user as User).id));
    people.deserializeUser((id: string, done) => done(null, { id }));
    const app = Object.assign(express(), { errors: [] as unknown[] });
    app.use(session({ secret: "test", resave: false, saveUninitialized: false, store }));
    app.use(people.initialize());
    app.use(people.session());
    app.get("/login", (req, res, next) => {
      req.login(
        { id: asked(req).id as string },
        { keepSessionInfo: true, session: true },
        (error: unknown) => (error ? next(error) : res.send(req.sessionID)),
      );
    });
    app.get("/logout", (req, res, next) =>
      req.logout((error: unknown) => (error ? next(error) : res.send("bye"))),
    );
    app.get("/who", (req, res) => {
      res.json({ user: (req.user as User | undefined)?.id ?? null, data: own(req).cart ?? null });
    });
    for (const [path, handler] of Object.entries(handlers)) app.get(path, handler);
    const onError: express.ErrorRequestHandler = (error, _req, res, _next) => {
      app.errors.push(error);
      res.status(500).send("error");
    };
    app.use(onError);
    return app;
  }

  test("passport: a slow request of a user that logged out changes nothing", async () => {
    for (const next of ["/logout", "/login?id=bob"]) {
      const request = slow((req, res) => {
        own(req).cart = "of ann";
        res.send("slow");
      });
      const store = makeStore(client);
      const app = loginApp(store, { "/slow": request.handler, "/set": set });
      const first = cookieOf(await supertest(app).get("/set?key=a&value=1"));
      const ann = cookieOf(await send(app, "/login?id=ann", first));
      expect((await send(app, "/who", ann)).body).toEqual({ user: "ann", data: null });
      const answer = send(app, "/slow", ann);
      await request.arrived;
      const after = cookieOf(await send(app, next, ann));
      request.goOn();
      expect((await answer).text).toBe("slow");
      expect((await send(app, "/who", ann)).body).toEqual({ user: null, data: null });
      const user = next === "/logout" ? null : "bob";
      expect((await send(app, "/who", after)).body).toEqual({ user, data: null });
      expect(app.errors).toEqual([]);
    }
  });

  test("passport: requests of one user at once keep all their changes", async () => {
    const store = makeStore(client);
    const app = loginApp(store, { "/set": set });
    const first = cookieOf(await supertest(app).get("/set?key=a&value=1"));
    const ann = cookieOf(await send(app, "/login?id=ann", first));
    await Promise.all(
      Array.from({ length: 20 }, (_, index) => send(app, `/set?key=k${index}&value=1`, ann)),
    );
    const all = await stored(store);
    expect(all).toMatchObject({ a: "1", passport: { user: "ann" } });
    expect(Object.keys(all).filter((key) => key.startsWith("k"))).toHaveLength(20);
  });

  test("connect-flash: a message that was shown does not come back, one that is new stays", async () => {
    const store = makeStore(client);
    const app = Object.assign(express(), { errors: [] as unknown[] });
    app.use(session({ secret: "test", resave: false, saveUninitialized: false, store }));
    app.use(flash());
    const request = slow((req, res) => {
      own(req).n = 1;
      res.send("slow");
    });
    app.get("/slow", request.handler);
    app.get("/say", (req, res) => {
      req.flash("info", asked(req).text as string);
      res.send("said");
    });
    app.get("/show", (req, res) => {
      res.json(req.flash("info"));
    });
    const cookie = cookieOf(await supertest(app).get("/say?text=one"));
    const answer = send(app, "/slow", cookie);
    await request.arrived;
    expect((await send(app, "/show", cookie)).body).toEqual(["one"]);
    await send(app, "/say?text=two", cookie);
    request.goOn();
    await answer;
    expect((await send(app, "/show", cookie)).body).toEqual(["two"]);
    expect((await send(app, "/show", cookie)).body).toEqual([]);
    expect(await stored(store)).toMatchObject({ n: 1 });
  });

  test("a csrf token that one request made is the one of the session", async () => {
    const store = makeStore(client);
    const token: RequestHandler = (req, res) => {
      own(req).csrf ??= asked(req).token as string;
      res.send(own(req).csrf);
    };
    const request = slow((req, res) => {
      own(req).n = 1;
      res.send("slow");
    });
    const app = makeApp(store, { "/set": set, "/token": token, "/slow": request.handler });
    const cookie = cookieOf(await supertest(app).get("/set?key=a&value=1"));
    const answer = send(app, "/slow", cookie);
    await request.arrived;
    expect((await send(app, "/token?token=one", cookie)).text).toBe("one");
    request.goOn();
    await answer;
    expect((await send(app, "/token?token=two", cookie)).text).toBe("one");
    expect(await stored(store)).toMatchObject({ csrf: "one", n: 1, a: "1" });
  });
});
