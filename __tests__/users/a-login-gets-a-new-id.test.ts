import type { RequestHandler } from "express";
import passport from "passport";
import supertest from "supertest";
import type { RedisStoreOptions } from "../../lib/index.js";
import {
  type AppSession,
  connect,
  makeApp,
  makeStore,
  sessionOf,
  type TestClient,
  visit,
} from "../support/store.js";

// Whoever planted a session id in a browser before its user logged in must not have it afterwards.

let client: TestClient;
beforeAll(async () => {
  client = await connect();
});

const userId = (session: object) => (session as { user?: string }).user;

/** A store, and the handles that its event `fixation` has named. */
function watched(options: Partial<Omit<RedisStoreOptions<TestClient>, "client">> = {}) {
  const store = makeStore(client, { userId, ...options });
  const fixations: unknown[][] = [];
  store.on("fixation", (...args: unknown[]) => fixations.push(args));
  return { store, fixations };
}

/** Events come in the next turn. */
const turn = () => new Promise(setImmediate);

const logIn: RequestHandler = (req, res, next) => {
  Object.assign(req.session, { user: "ada" });
  req.session.save((error) => (error ? next(error) : res.send("in")));
};
const regenerate: RequestHandler = (req, res, next) => {
  req.session.regenerate((error) => (error ? next(error) : logIn(req, res, next)));
};
const handlers = { "/visit": visit, "/login": logIn, "/safe-login": regenerate };

test.each([
  { how: "merging", options: {} },
  { how: "the last writer wins", options: { conflict: "overwrite" } as const },
  { how: "a cache", options: { cache: { max: 100 } } },
])("a login under the id that was nobody's is told by its handle: $how", async ({ options }) => {
  const { store, fixations } = watched(options);
  const agent = supertest.agent(makeApp(store, handlers));
  await agent.get("/visit");
  const [sid = ""] = await store.ids();
  await agent.get("/login").expect(200, "in");
  expect(fixations).toEqual([[store.handleOf(sid)]]);
  // It is told once, and not of each request of a user.
  await agent.get("/visit");
  await agent.get("/login");
  await turn();
  expect(fixations).toHaveLength(1);
  store.close();
});

test("with requireNewId such a login is refused, and nobody is logged in", async () => {
  const { store, fixations } = watched({ requireNewId: true });
  const app = makeApp(store, handlers);
  const agent = supertest.agent(app);
  await agent.get("/visit");
  const [sid = ""] = await store.ids();
  await agent.get("/login").expect(500, "ERR_INVALID_SESSION");
  expect((app.errors[0] as Error).message).toMatch(/regenerate/);
  expect((app.errors[0] as Error).message).not.toContain(sid);
  expect(await store.sessionsOf("ada")).toEqual([]);
  expect(await store.get(sid)).not.toHaveProperty("user");
  await turn();
  expect(fixations).toContainEqual([store.handleOf(sid)]);

  await agent.get("/safe-login").expect(200, "in");
  const [fresh] = await store.sessionsOf("ada");
  expect(fresh?.sid).toEqual(expect.any(String));
  expect(fresh?.sid).not.toBe(sid);
});

test("what is no such login is neither told nor refused", async () => {
  const { store, fixations } = watched({ requireNewId: true });
  const app = makeApp(store, {
    ...handlers,
    "/switch": (req, res) => {
      Object.assign(req.session, { user: "bob" });
      res.end();
    },
    "/logout": (req, res) => {
      Reflect.deleteProperty(req.session, "user");
      res.end();
    },
  });
  const agent = supertest.agent(app);
  // A first visit that logs in: its id is new.
  await agent.get("/login").expect(200);
  await agent.get("/visit").expect(200);
  await agent.get("/switch").expect(200);
  await agent.get("/logout").expect(200);
  // What the app itself writes by hand is the app's own business.
  await store.set("by hand", sessionOf());
  await store.set("by hand", sessionOf({ user: "ada" }));
  await turn();
  expect(app.errors).toEqual([]);
  expect(fixations).toEqual([]);
});

test("a login of passport gets a new id by itself", async () => {
  const { store, fixations } = watched({
    userId: (session) => (session as AppSession & { passport?: { user?: string } }).passport?.user,
    requireNewId: true,
  });
  const auth = new passport.Passport();
  auth.serializeUser((user, done) => done(null, (user as { id: string }).id));
  auth.deserializeUser((id: string, done) => done(null, { id }));
  const app = makeApp(store, {
    "/visit": visit,
    "/login": (req, res, next) => {
      auth.session()(req, res, () => {
        req.logIn({ id: "ada" }, (error: unknown) => (error ? next(error) : res.send("in")));
      });
    },
  });
  const agent = supertest.agent(app);
  await agent.get("/visit");
  await agent.get("/login").expect(200, "in");
  expect(await store.sessionsOf("ada")).toHaveLength(1);
  await turn();
  expect(app.errors).toEqual([]);
  expect(fixations).toEqual([]);
});
