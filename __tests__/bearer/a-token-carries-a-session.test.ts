import { createSecretKey, generateKeyPairSync, randomBytes } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";
import { sign } from "cookie-signature";
import express, { type RequestHandler } from "express";
import session, { MemoryStore, type SessionOptions } from "express-session";
import request from "supertest";
import { bearerToken, readSession } from "../../lib/bearer/bearer.js";
import type { RedisStore, RedisStoreOptions } from "../../lib/index.js";
import { type Recording, record } from "../support/recording.js";
import {
  type AppSession,
  connect,
  makeStore,
  rawOf,
  refusal,
  sessionOf,
  type TestClient,
} from "../support/store.js";
import { sidsOf, tick, userId } from "../support/user-index-suite.js";

const secret = "keyboard cat";
let client: TestClient;
beforeAll(async () => {
  client = await connect();
});

type Options = Partial<SessionOptions> & {
  bearer?: Parameters<typeof bearerToken>[0];
  store?: RedisStore<TestClient>;
};

const own = (req: express.Request) => req.session as unknown as AppSession;

/** An app for which the browser's login and the mobile app's are one. */
function makeApp({ bearer, store = makeStore(client), ...options }: Options = {}) {
  const app = express();
  const reached: string[] = [];
  const errors: Error[] = [];
  app.use(bearerToken(bearer ?? { secret }));
  app.use(session({ secret, resave: false, saveUninitialized: false, store, ...options }));
  app.use((req, _res, next) => {
    reached.push(req.path);
    next();
  });
  const login: RequestHandler = (req, res) => {
    own(req).user = req.query.user ?? "ada";
    req.session.save((error: (Error & { code?: string }) | null) => {
      if (error) res.status(409).send(error.code);
      else res.json({ token: req.sessionToken });
    });
  };
  app.get("/login", login);
  app.get("/me", (req, res) => {
    res.cookie("own", "1");
    res.cookie("connect.sidecar", "2");
    res.json({ user: own(req).user ?? null, token: req.sessionToken ?? null });
  });
  app.get("/change", (req, res) => {
    own(req).n = Number(own(req).n ?? 0) + 1;
    res.json(own(req).n);
  });
  app.get("/regenerate", (req, res) => {
    const { user } = own(req);
    req.session.regenerate(() => {
      own(req).user = user;
      req.session.save(() => res.json({ token: req.sessionToken }));
    });
  });
  app.get("/logout", (req, res) => {
    req.session.destroy(() => res.json({ token: req.sessionToken ?? null }));
  });
  const onError: express.ErrorRequestHandler = (error, _req, res, _next) => {
    errors.push(error as Error);
    res.status(500).end();
  };
  app.use(onError);
  const get = (path: string, token?: string) => {
    const asked = request(app).get(path);
    return token === undefined ? asked : asked.set("Authorization", `Bearer ${token}`);
  };
  return {
    app,
    store,
    reached,
    errors,
    get,
    login: async (user = "ada") => (await get(`/login?user=${user}`)).body.token as string,
  };
}

const refused = (answer: request.Response) => {
  expect(answer.status).toBe(401);
  expect(answer.headers["www-authenticate"]).toBe('Bearer error="invalid_token"');
  expect(answer.headers["set-cookie"]).toBeUndefined();
};

const asking = (headers: IncomingMessage["headers"]) => ({ headers }) as IncomingMessage;
const cookie = (sid: string) => `a=b; connect.sid=${encodeURIComponent(`s:${sign(sid, secret)}`)}`;

const cookiesOf = (answer: request.Response) =>
  ((answer.headers["set-cookie"] ?? []) as unknown as string[]).map((line) => line.split("=")[0]);

describe("a token", () => {
  test("is the session id, signed like the cookie", async () => {
    const { get, login, store } = makeApp();
    const token = await login();
    const [sid] = (await store.ids()) as [string];
    expect(token).toBe(sign(sid, secret));
    const { body, status } = await get("/me", token);
    expect([status, body]).toEqual([200, { user: "ada", token }]);
  });

  test.each(["a b", "ü", "a.b", "~x", "x%y", "=", "a/+b", "🦊", "a:b"])(
    "carries any session id: %p",
    async (sid) => {
      const { login, get } = makeApp({ genid: () => sid });
      const token = await login();
      expect(token).toMatch(/^[A-Za-z0-9\-._~+/]+$/);
      expect((await get("/me", token)).body).toEqual({ user: "ada", token });
    },
  );

  test("follows the session through regenerate and destroy", async () => {
    const { get, login, store } = makeApp();
    const token = await login();
    const regenerated = await get("/regenerate", token);
    const next = regenerated.body.token as string;
    expect(next).not.toBe(token);
    expect(cookiesOf(regenerated)).toEqual([]);
    refused(await get("/me", token));
    expect((await get("/me", next)).body.user).toBe("ada");
    expect((await get("/logout", next)).body).toEqual({ token: null });
    refused(await get("/me", next));
    expect(await store.ids()).toEqual([]);
  });

  test("is also given to who comes with a cookie", async () => {
    const { app, get } = makeApp();
    const agent = request.agent(app);
    const { token } = (await agent.get("/login")).body as { token: string };
    expect((await agent.get("/me")).body).toEqual({ user: "ada", token });
    expect((await get("/me", token)).body.user).toBe("ada");
    expect((await get("/me")).body).toEqual({ user: null, token: expect.anything() });
  });

  test("signed with an older secret is accepted, and what is given is signed with the newest", async () => {
    const store = makeStore(client);
    const old = await makeApp({ store }).login();
    const secrets = ["new", secret];
    const { get } = makeApp({ store, secret: secrets, bearer: { secret: secrets } });
    const { body } = await get("/me", old);
    expect(body.user).toBe("ada");
    expect(body.token).not.toBe(old);
    expect((await get("/me", body.token)).body.user).toBe("ada");
    const later = makeApp({ store, secret: "new", bearer: { secret: "new" } });
    refused(await later.get("/me", old));
  });
});

describe("a bearer request", () => {
  test("takes no session from its cookie or its address", async () => {
    const { app, login } = makeApp();
    const [ada, bob] = [await login("ada"), await login("bob")];
    const cookie = (token: string) => `connect.sid=${encodeURIComponent(`s:${token}`)}`;
    const ask = (path: string) => request(app).get(path);
    expect((await ask("/me").set("Cookie", cookie(bob))).body.user).toBe("bob");
    const both = ask("/me").set("Authorization", `bearer  ${ada} `);
    expect(
      (await both.set("Cookie", `x=1; ${cookie(bob)}; connect.sid =${ada};connect.sid`)).body.user,
    ).toBe("ada");
    const inAddress = await ask(`/me?access_token=${ada}&sessionToken=${ada}`);
    expect(inAddress.body.user).toBeNull();
  });

  test("keeps its other cookies, and the app's are set", async () => {
    const { app, get, login } = makeApp({ rolling: true });
    app.get("/cookies", (req, res) => {
      res.send(req.headers.cookie);
    });
    const token = await login();
    expect(cookiesOf(await get("/me", token))).toEqual(["own", "connect.sidecar"]);
    expect(cookiesOf(await get("/change", token))).toEqual([]);
    // Without a token the cookie is set as ever.
    expect(cookiesOf(await get("/login"))).toEqual(["connect.sid"]);
  });

  test("shows its app no credential but the header that it came with", async () => {
    const { app, login } = makeApp();
    app.get("/dump", (req, res) => {
      res.json({ cookie: req.headers.cookie ?? null, keys: Object.keys(req) });
    });
    const token = await login();
    const other = await login("bob");
    const dump = (cookie?: string) => {
      const asked = request(app).get("/dump").set("Authorization", `Bearer ${token}`);
      return cookie === undefined ? asked : asked.set("Cookie", cookie);
    };
    const planted = `connect.sid=${encodeURIComponent(`s:${other}`)}`;
    for (const [sent, seen] of [
      [undefined, null],
      ["a=1; b=2", "a=1; b=2"],
      [`a=1; ${planted}`, "a=1"],
      [planted, null],
    ] as const) {
      const { body } = await dump(sent);
      expect(body.cookie).toBe(seen);
      expect(body.keys).not.toContain("sessionToken");
    }
  });

  test("shows no credential where session() passes it by", async () => {
    const app = express();
    const store = makeStore(client);
    app.use(bearerToken({ secret }));
    app.use(
      session({
        secret,
        resave: false,
        saveUninitialized: false,
        store,
        cookie: { path: "/only" },
      }),
    );
    app.use((req, res) => {
      res.json({ cookie: req.headers.cookie ?? null, token: req.sessionToken ?? null });
    });
    const asked = request(app).get("/other").set("Cookie", "a=1");
    const { body } = await asked.set("Authorization", `Bearer ${sign("sid", secret)}`);
    expect(body).toEqual({ cookie: "a=1", token: null });
  });

  test("changes and renews its session like any other", async () => {
    const { get, login, store } = makeApp({
      store: makeStore(client, { touchAfter: 0 }),
      cookie: { maxAge: 60_000 },
    });
    const token = await login();
    expect((await get("/change", token)).body).toBe(1);
    expect((await get("/change", token)).body).toBe(2);
    const [sid] = (await store.ids()) as [string];
    const raw = rawOf(client);
    await raw.send("PEXPIRE", store.prefix + sid, "5000");
    await tick();
    await get("/me", token);
    expect(await raw.pttl(store.prefix + sid)).toBeGreaterThan(50_000);
  });

  test.each(["Basic dTpw", "Digest x", "Bearerish x"])(
    "is none with another scheme: %p",
    async (authorization) => {
      const { app } = makeApp();
      const answer = await request(app).get("/me").set("Authorization", authorization);
      expect(answer.status).toBe(200);
    },
  );

  test("costs one round trip, two when a renewal is due", async () => {
    const recording: Recording = record(client);
    const store = makeStore(recording.client);
    const { get, login } = makeApp({ store });
    const token = await login();
    await tick();
    await get("/me", token);
    recording.names();
    await get("/me", token);
    expect(recording.names()).toEqual(["GET"]);
    const other = makeApp({ store: makeStore(recording.client, { prefix: store.prefix }) });
    await other.get("/me", token);
    expect(recording.names()).toEqual(["GET", "EVALSHA"]);
  });
});

describe.each([
  ["saveUninitialized: false", {}],
  [
    "saveUninitialized: true, resave: true, rolling: true, unset: destroy",
    {
      saveUninitialized: true,
      resave: true,
      rolling: true,
      unset: "destroy" as const,
    },
  ],
])("with %s", (_, options: Partial<SessionOptions>) => {
  test.each([
    ["another signature", (token: string) => `${token.slice(0, -2)}xx`],
    ["another session", (token: string) => `x${token}`],
    ["no signature", (token: string) => token.split(".")[0] as string],
    ["padding", (token: string) => `${token}=`],
    ["the s: of a cookie", (token: string) => `s:${token}`],
    ["a cookie's escapes", (token: string) => encodeURIComponent(`s:${token}`)],
    ["nothing", () => ""],
    ["two words", (token: string) => `${token} ${token}`],
    ["a list", (token: string) => `${token},${token}`],
    [
      "another way to write it",
      (token: string) => {
        const [sid = "", mac = ""] = token.split(".");
        return `~${Buffer.from(sid).toString("base64url")}.${mac}`;
      },
    ],
  ])("a token with %s is refused before Redis is asked", async (__, forge) => {
    const recording = record(client);
    const { login, get, reached } = makeApp({ ...options, store: makeStore(recording.client) });
    const token = await login();
    reached.length = 0;
    recording.names();
    refused(await get("/me", forge(token)));
    expect(recording.names()).toEqual([]);
    expect(reached).toEqual([]);
  });

  test("a token whose session is gone is refused, and nothing is stored for it", async () => {
    const recording = record(client);
    const store = makeStore(recording.client);
    const { login, get, reached, errors } = makeApp({ ...options, store });
    const token = await login();
    const [sid] = (await store.ids()) as [string];
    await store.destroy(sid);
    reached.length = 0;
    recording.names();
    const answers = await Promise.all([get("/me", token), get("/login", token), get("/x", token)]);
    for (const answer of answers) refused(answer);
    expect(recording.names()).toEqual(["GET", "GET", "GET"]);
    expect([reached, errors]).toEqual([[], []]);
    expect(await store.ids()).toEqual([]);
    // Those without a token are not concerned.
    expect((await get("/me")).status).toBe(200);
  });
});

describe("mistakes", () => {
  test.each([
    ["name", { name: "sid" }, {}],
    ["secret", {}, { secret: "other" }],
  ])("session() with another %s does not let a token through", async (_, options, bearer) => {
    const { get, errors, reached } = makeApp({ ...options, bearer: { secret, ...bearer } });
    const token = sign("sid", ("secret" in bearer ? bearer.secret : secret) as string);
    expect((await get("/me", token)).status).toBe(500);
    expect(reached).toEqual([]);
    expect(errors[0]?.message).toContain("the same secret and the same name");
  });

  test("after session() it is an error", async () => {
    const app = express();
    app.use(session({ secret, resave: false, saveUninitialized: false, store: makeStore(client) }));
    app.use(bearerToken({ secret }));
    const seen: string[] = [];
    const onError: express.ErrorRequestHandler = (error: Error, _req, res, _next) => {
      seen.push(error.message);
      res.status(500).end();
    };
    app.use(onError);
    await request(app).get("/");
    expect(seen[0]).toContain("before session()");
  });

  const emptyKey = createSecretKey(Buffer.alloc(0));
  const { publicKey } = generateKeyPairSync("ed25519");
  test.each([
    ["no options", undefined, /object of options/],
    ["null", null, /object of options/],
    ["a secret as options", secret, /object of options/],
    ["no secret", {}, /"secret"/],
    ["an empty secret", { secret: "" }, /"secret"/],
    ["no bytes", { secret: Buffer.alloc(0) }, /"secret"/],
    ["an empty key", { secret: emptyKey }, /"secret"/],
    ["a key that everybody has", { secret: publicKey }, /"secret"/],
    ["a number", { secret: 7_777_777 }, /"secret"/],
    ["no secrets", { secret: [] }, /"secret"/],
    ["an empty one of several", { secret: [secret, ""] }, /"secret"/],
    ["no bytes among several", { secret: [secret, new Uint8Array()] }, /"secret"/],
    ["an empty key among several", { secret: [secret, emptyKey] }, /"secret"/],
    ["an empty name", { secret, name: "" }, /"name"/],
    ["an option that does not exist", { secret, nmae: "sid" }, /"nmae" \(did you mean "name"/],
  ])("%s is refused, and no secret is in the message", async (_, options, wanted) => {
    const error = { code: "ERR_INVALID_OPTION", message: expect.stringMatching(wanted) };
    expect(() => bearerToken(options as never)).toThrow(expect.objectContaining(error));
    const store = makeStore(client);
    const all = typeof options === "object" && options !== null ? { ...options, store } : options;
    const failure = await refusal(readSession({ headers: {} } as IncomingMessage, all as never));
    expect(failure).toMatchObject(error);
    expect(failure.message).not.toMatch(/keyboard|7777777/);
  });

  test("bytes and keys are secrets as well as text", async () => {
    for (const good of [Buffer.from(secret), createSecretKey(Buffer.from(secret))]) {
      const { login, get } = makeApp({ bearer: { secret: good } });
      expect((await get("/me", await login())).body.user).toBe("ada");
    }
  });

  test("an error of the store is an error, not a refusal", async () => {
    const store = makeStore(client);
    const { get, login, errors } = makeApp({ store });
    const token = await login();
    const [sid] = (await store.ids()) as [string];
    await rawOf(client).set(store.prefix + sid, "no session");
    expect((await get("/me", token)).status).toBe(500);
    expect(errors[0]).toMatchObject({ code: "ERR_CORRUPT_SESSION" });
    expect(Object.hasOwn(store, "get")).toBe(false);
  });
});

describe("readSession", () => {
  const options = { secret, store: undefined as never };
  test("gives the session of a cookie or a token, or null", async () => {
    const store = makeStore(client);
    await store.set("sid", sessionOf({ user: "ada" }));
    const all = { ...options, store };
    const token = `Bearer ${sign("sid", secret)}`;
    for (const headers of [
      { cookie: cookie("sid") },
      { authorization: token },
      { authorization: token, cookie: cookie("other") },
      { cookie: `connect.sid="s:${sign("sid", secret)}"` },
    ]) {
      const found = await readSession(asking(headers), all);
      expect(found).toMatchObject({ user: "ada", id: "sid" });
    }
    for (const headers of [
      {},
      { cookie: "connect.sid=s:sid.x; other=1" },
      { cookie: "connect.sid=%; connect.sid" },
      { cookie: cookie("gone") },
      { authorization: "Bearer x.y", cookie: cookie("sid") },
      { authorization: "Bearer", cookie: cookie("sid") },
      { authorization: `Bearer ${sign("sid", "other")}` },
    ]) {
      expect(await readSession(asking(headers), all)).toBeNull();
    }
    expect(await readSession(asking({ cookie: cookie("sid") }), { ...all, name: "x" })).toBeNull();
  });

  test("with cookie: false takes a token only, and asks nobody about a cookie", async () => {
    const recording = record(client);
    const store = makeStore(recording.client);
    await store.set("sid", sessionOf({ user: "ada" }));
    recording.names();
    const all = { ...options, store, cookie: false };
    expect(await readSession(asking({ cookie: cookie("sid") }), all)).toBeNull();
    expect(recording.names()).toEqual([]);
    const authorization = `Bearer ${sign("sid", secret)}`;
    expect(await readSession(asking({ authorization }), all)).toMatchObject({ user: "ada" });
    for (const wrong of ["no", 0]) {
      const failure = refusal(readSession(asking({}), { ...all, cookie: wrong } as never));
      expect(await failure).toMatchObject({ code: "ERR_INVALID_OPTION" });
    }
  });

  test.each([undefined, null, {}, "redis"])("wants a store: not %p", async (wrong) => {
    const failure = await refusal(readSession(asking({}), { secret, store: wrong as never }));
    expect(failure).toMatchObject({
      code: "ERR_INVALID_OPTION",
      message: expect.stringContaining('"store"'),
    });
  });

  test("asks Redis once, and not at all for what is forged", async () => {
    const recording = record(client);
    const store = makeStore(recording.client);
    await store.set("sid", sessionOf());
    recording.names();
    await readSession(asking({ cookie: cookie("sid") }), { ...options, store });
    expect(recording.names()).toEqual(["GET"]);
    await readSession(asking({ cookie: "connect.sid=s:sid.x" }), { ...options, store });
    expect(recording.names()).toEqual([]);
  });

  test("gives a session that can be saved and ended", async () => {
    const store = makeStore(client);
    await store.set("sid", sessionOf({ n: 1 }));
    const found = await readSession(asking({ cookie: cookie("sid") }), { ...options, store });
    const own = found as unknown as AppSession & session.Session;
    own.n = 2;
    await new Promise((resolve) => own.save(resolve));
    expect(await store.get("sid")).toMatchObject({ n: 2 });
    await new Promise((resolve) => own.destroy(resolve));
    expect(await store.ids()).toEqual([]);
  });

  test("fails as the store fails", async () => {
    const store = makeStore(client);
    await rawOf(client).set(`${store.prefix}sid`, "no session");
    const error = await refusal(
      readSession(asking({ cookie: cookie("sid") }), { ...options, store }),
    );
    expect(error.code).toBe("ERR_CORRUPT_SESSION");
  });

  test("works with any store and any http server", async () => {
    const store = new MemoryStore();
    await new Promise((resolve) => store.set("sid", sessionOf({ user: "ada" }), resolve));
    const server = createServer((req, res) => {
      void readSession(req, { secret, store }).then((found) => {
        res.end(JSON.stringify(found));
      });
    });
    const { text } = await request(server).get("/").set("Cookie", cookie("sid"));
    expect(JSON.parse(text)).toMatchObject({ user: "ada" });
    expect((await request(server).get("/")).text).toBe("null");
  });
});

describe("with encryption", () => {
  const encryption = { keys: { a: randomBytes(32) }, write: "a", plaintextUntil: null };

  test("a token opens, changes and ends a sealed session", async () => {
    const { get, login, store, errors } = makeApp({ store: makeStore(client, { encryption }) });
    const token = await login();
    const [sid] = (await store.ids()) as [string];
    const held = () => rawOf(client).get(store.prefix + sid);
    expect(await held()).toMatch(/^rss1\.a\.[\w-]+$/);
    expect((await get("/me", token)).body).toEqual({ user: "ada", token });
    expect((await get("/change", token)).body).toBe(1);
    expect((await get("/change", token)).body).toBe(2);
    expect(await held()).toMatch(/^rss1\.a\.[\w-]+$/);
    const next = (await get("/regenerate", token)).body.token as string;
    refused(await get("/me", token));
    expect((await get("/me", next)).body.user).toBe("ada");
    await get("/logout", next);
    refused(await get("/me", next));
    expect(errors).toEqual([]);
  });

  test("readSession reads it by cookie and by token, and saves it sealed", async () => {
    const store = makeStore(client, { encryption });
    await store.set("sid", sessionOf({ n: 1 }));
    for (const headers of [
      { cookie: cookie("sid") },
      { authorization: `Bearer ${sign("sid", secret)}` },
    ]) {
      const found = await readSession(asking(headers), { secret, store });
      const own = found as unknown as AppSession & session.Session;
      own.n = Number(own.n) + 1;
      await new Promise((resolve) => own.save(resolve));
    }
    expect(await store.get("sid")).toMatchObject({ n: 3 });
    expect(await rawOf(client).get(`${store.prefix}sid`)).toMatch(/^rss1\.a\./);
  });

  test("without the key a token is no stranger's: the request fails, and nothing is ended", async () => {
    const { login, store } = makeApp({ store: makeStore(client, { encryption }) });
    const token = await login();
    const blind = makeStore(client, { prefix: store.prefix });
    const { get, errors } = makeApp({ store: blind });
    expect((await get("/me", token)).status).toBe(500);
    expect(errors).toEqual([expect.objectContaining({ code: "ERR_UNKNOWN_KEY" })]);
    const headers = { authorization: `Bearer ${token}` };
    const asked = readSession(asking(headers), { secret, store: blind });
    expect((await refusal(asked)).code).toBe("ERR_UNKNOWN_KEY");
    expect(await store.length()).toBe(1);
  });
});

describe("together with the index of users", () => {
  const limited = (options: Partial<RedisStoreOptions<TestClient>>) =>
    makeStore(client, { userId, maxSessionsPerUser: 1, ...options });

  test("a second login ends the first, and a revoked token is refused", async () => {
    const store = limited({});
    const { login, get } = makeApp({ store });
    const first = await login();
    expect((await get("/me", first)).status).toBe(200);
    const second = await login();
    refused(await get("/me", first));
    expect((await get("/me", second)).status).toBe(200);
    expect(await store.destroyAllOf("ada")).toBe(1);
    refused(await get("/me", second));
  });

  test("one login too many gets no token", async () => {
    const store = limited({ onLimit: "reject" });
    const { login, get } = makeApp({ store });
    const first = await login();
    const rejected = await get("/login");
    expect([rejected.status, rejected.text]).toEqual([409, "ERR_TOO_MANY_SESSIONS"]);
    expect((await get("/me", first)).status).toBe(200);
    expect(await sidsOf(store, "ada")).toHaveLength(1);
  });
});
