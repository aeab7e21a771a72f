import { randomBytes } from "node:crypto";
import { RedisStore as ConnectRedisStore } from "connect-redis";
import express from "express";
import session from "express-session";
import request from "supertest";
import { type WhyMissing, whyMissing } from "../../lib/bearer/bearer.js";
import { RedisStore, type RedisStoreOptions } from "../../lib/index.js";
import { type Channels, listen } from "../support/channels.js";
import { record } from "../support/recording.js";
import { load } from "../support/requests.js";
import { type Server, startServer } from "../support/servers.js";
import {
  type AppSession,
  connect,
  inMs,
  makeStore,
  newClient,
  rawOf,
  refusal,
  sessionOf,
  type TestClient,
  unlessSealed,
  until,
} from "../support/store.js";
import { tick, userId } from "../support/user-index-suite.js";

let client: TestClient;
beforeAll(async () => {
  client = await connect();
});

type Options = Omit<Partial<RedisStoreOptions>, "client">;
const endings = { keepFor: 60 };
const remembering = (options: Options = {}, over = client) =>
  makeStore(over, { endings, ...options });
const ofAda = (data: object = {}) => sessionOf({ user: "ada", ...data });

/** The notes of a store. */
async function notes(store: RedisStore<TestClient>): Promise<string[]> {
  return rawOf(store.client).send<string[]>("KEYS", `ended:${store.prefix}*`);
}

const GONE = { reason: "expired-or-evicted", at: null, because: undefined };

describe("whyGone", () => {
  test("a logout: when, by the clock of the server", async () => {
    const store = remembering();
    await store.set("sid", sessionOf());
    expect(await store.whyGone("sid")).toBeNull();
    const before = Date.now();
    await store.destroy("sid");
    const why = await store.whyGone("sid");
    expect(why).toMatchObject({ reason: "logout", because: undefined });
    expect(why?.at).toBeInstanceOf(Date);
    expect(Math.abs(Number(why?.at) - before)).toBeLessThan(60_000);
    const called = await new Promise((resolve) => {
      void store.whyGone("sid", (error, result) => resolve([error, result]));
    });
    expect(called).toEqual([null, why]);
  });

  test("revoked, with the words of who did it", async () => {
    const store = remembering({ userId });
    const because = "the password was changed";
    for (const sid of ["a", "b", "c", "d"]) await store.set(sid, ofAda());
    expect(await store.destroyOf("ada", store.handleOf("a"), { because: "device lost" })).toBe(1);
    expect(await store.destroyOf("ada", store.handleOf("b"))).toBe(1);
    expect(await store.destroyAllOf("ada", { because, except: "d" })).toBe(1);
    expect(await store.whyGone("a")).toMatchObject({ reason: "revoked", because: "device lost" });
    expect(await store.whyGone("b")).toMatchObject({ reason: "revoked", because: undefined });
    expect(await store.whyGone("c")).toMatchObject({ reason: "revoked", because });
    expect(await store.whyGone("d")).toBeNull();
  });

  test("revoked by its id, and told by its handle alone", async () => {
    const store = remembering();
    await store.set("sid", ofAda());
    expect(await store.whyGone({ handle: store.handleOf("sid") })).toBeNull();
    expect(await store.destroy("sid", { because: "stolen" })).toBe(1);
    const why = { reason: "revoked", because: "stolen", at: expect.any(Date) };
    expect(await store.whyGone("sid")).toMatchObject(why);
    expect(await store.whyGone({ handle: store.handleOf("sid") })).toMatchObject(why);
    await new Promise((resolve) => store.destroy("sid", {}, resolve));
    const wrong = { becuase: "" } as object;
    await expect(store.destroy("sid", wrong)).rejects.toMatchObject({ code: "ERR_INVALID_OPTION" });
  });

  test("limit: another login needed the place", async () => {
    const store = remembering({ userId, maxSessionsPerUser: 2 });
    for (const sid of ["a", "b", "c"]) {
      await store.set(sid, ofAda());
      await tick();
    }
    expect(await store.whyGone("a")).toMatchObject({ reason: "limit" });
    expect(await store.whyGone("b")).toBeNull();
  });

  test("what Redis or the store ends by itself leaves no note", async () => {
    const store = remembering({ absoluteTtl: 3600 });
    await store.set("idle", sessionOf({}, { expires: inMs(5) }));
    await until(async () => (await store.get("idle")) === null);
    await store.set("over", sessionOf());
    await store.set("over", sessionOf({}, { expires: inMs(-1) }));
    await store.touch("over", sessionOf({}, { expires: inMs(-1) }));
    await store.set("cleared", sessionOf());
    await store.clear();
    for (const sid of ["idle", "over", "cleared", "never there"]) {
      expect(await store.whyGone(sid)).toEqual(GONE);
    }
    expect(await notes(store)).toEqual([]);
  });

  test("the first reason wins", async () => {
    const store = remembering({ userId });
    await store.set("sid", ofAda());
    await store.destroyAllOf("ada", { because: "first" });
    const why = await store.whyGone("sid");
    await store.destroy("sid");
    expect(await store.whyGone("sid")).toEqual(why);
    expect(why).toMatchObject({ reason: "revoked", because: "first" });
  });

  // It looks for the user in what Redis answers.
  unlessSealed.test(
    "a session that was to be ended, and is another user's by then, has no note",
    async () => {
      const store = remembering({ userId });
      await store.set("sid", ofAda());
      const ofBob = JSON.stringify(sessionOf({ user: "bob" }));
      let isBobs = false;
      const recorded = record(client, async (_, reply) => {
        const isRead = JSON.stringify(reply ?? null).includes("ada");
        if (isRead && !isBobs) {
          isBobs = true;
          await rawOf(client).set(`${store.prefix}sid`, ofBob);
        }
        return reply;
      });
      const other = remembering({ userId, prefix: store.prefix }, recorded.client);
      expect(await other.destroyAllOf("ada", { because: "the password was changed" })).toBe(0);
      expect(isBobs).toBe(true);
      expect(await rawOf(client).get(`${store.prefix}sid`)).toBe(ofBob);
      expect(await notes(store)).toEqual([]);
    },
  );

  test.each<[string, string[]]>([
    ["of a reason that there is not", ["reason", "constructor", "at", "1"]],
    ["without a time", ["reason", "logout"]],
    ["of a time that is none", ["reason", "logout", "at", "never"]],
    ["of something else", ["sid", "SECRET"]],
  ])("a note %s, which somebody else has written, is none", async (_, fields) => {
    const store = remembering();
    await rawOf(client).send("HSET", `ended:${store.prefix}${store.handleOf("sid")}`, ...fields);
    expect(await store.whyGone("sid")).toEqual(GONE);
  });

  test("an id that is used again has its session, which nothing forbids", async () => {
    const store = remembering();
    await store.set("sid", sessionOf());
    await store.destroy("sid");
    expect(await store.set("sid", sessionOf())).toBe("OK");
    expect(await store.whyGone("sid")).toBeNull();
  });

  test("a note is kept for keepFor", async () => {
    const store = remembering({ endings: { keepFor: 0.2 } });
    await store.set("sid", sessionOf());
    await store.destroy("sid");
    const [note = ""] = await notes(store);
    const left = await rawOf(client).pttl(note);
    expect(left).toBeLessThanOrEqual(200);
    await until(async () => (await store.whyGone("sid"))?.reason === "expired-or-evicted");
  });

  test("a note holds no session id, no content and no user", async () => {
    const store = remembering({ userId });
    await store.set("THE-SID", ofAda({ content: "SECRET" }));
    await store.destroyAllOf("ada", { because: "words" });
    const [note = ""] = await notes(store);
    const held = await rawOf(client).send<object>("HGETALL", note);
    expect(note).toBe(`ended:${store.prefix}${store.handleOf("THE-SID")}`);
    expect(held).toEqual({
      reason: "revoked",
      at: expect.stringMatching(/^\d+$/),
      because: "words",
    });
  });

  test.each(["", "ended:", "e"])(
    "with the prefix %p a note counts as no session",
    async (prefix) => {
      const server = await startServer();
      const { client: own, close } = newClient(6, { url: server.url });
      try {
        await own.connect();
        const store = new RedisStore({ client: own, prefix, endings });
        await store.set("sid", sessionOf());
        await store.destroy("sid");
        expect(await store.length()).toBe(0);
        expect(await store.all()).toEqual([]);
        expect(await store.clear()).toBe(0);
        expect(await store.whyGone("sid")).toMatchObject({ reason: "logout" });
      } finally {
        close();
        await server.stop();
      }
    },
  );

  test("beside connect-redis: what that ends has left no note, and ours is no session to it", async () => {
    const store = remembering();
    const { prefix } = store;
    const other = new ConnectRedisStore({ client: client as never, prefix });
    await store.set("ours", sessionOf());
    await store.set("theirs", sessionOf());
    await store.destroy("ours");
    await other.destroy("theirs");
    expect(await store.whyGone("ours")).toMatchObject({ reason: "logout" });
    expect(await store.whyGone("theirs")).toEqual(GONE);
    expect(await other.all()).toEqual([]);
  });

  test("with encryption, on a server that has the key or has it no longer", async () => {
    const keys = { one: randomBytes(32) };
    const encryption = { keys, write: "one", plaintextUntil: null };
    const store = remembering({ encryption, userId, maxSessionsPerUser: 1 });
    await store.set("a", ofAda());
    await tick();
    await store.set("b", ofAda());
    await store.destroy("b");
    expect(await store.whyGone("a")).toMatchObject({ reason: "limit" });
    expect(await store.whyGone("b")).toMatchObject({ reason: "logout" });
    const rotated = remembering({
      prefix: store.prefix,
      encryption: { keys: { two: randomBytes(32) }, write: "two", plaintextUntil: null },
    });
    expect(await rotated.whyGone("b")).toMatchObject({ reason: "logout" });
  });

  test("an ending that got no answer is repeated with its reason", async () => {
    const server = await startServer();
    const { client: own, close } = newClient(6, { url: server.url });
    try {
      await own.connect();
      const store = new RedisStore({ client: own, endings, timeout: 100 });
      await store.set("sid", sessionOf());
      // A request that knows the session, on its way to another id.
      const req = { sessionID: "sid", sessionStore: store } as never;
      Object.assign(store, { generate: () => {} });
      server.kill("SIGSTOP");
      const error = await new Promise((resolve) => store.regenerate(req, resolve));
      expect(error).toMatchObject({ code: expect.stringMatching(/^ERR_(TIMEOUT|UNAVAILABLE)$/) });
      server.kill("SIGCONT");
      await until(async () => {
        const why = await store.whyGone("sid").catch(() => null);
        return why?.reason === "regenerated";
      });
    } finally {
      server.kill("SIGCONT");
      close();
      await server.stop();
    }
  });

  test("without the option there is nothing to tell, and nothing is sent", async () => {
    const recorded = record(client);
    const store = makeStore(recorded.client, { userId });
    await store.set("sid", ofAda());
    recorded.names();
    await store.destroy("sid");
    expect(recorded.names()).not.toContain("HSETNX");
    for (const asked of [
      store.whyGone("sid"),
      store.destroyAllOf("ada", { because: "words" }),
      store.destroyOf("ada", "h", { because: "words" }),
    ]) {
      expect(await refusal(asked)).toMatchObject({
        code: "ERR_INVALID_OPTION",
        message: expect.stringContaining("endings"),
      });
    }
  });

  test.each([[7], ["x".repeat(1001)], [null]])(
    "because: %p is refused, and nothing ended",
    async (because) => {
      const store = remembering({ userId });
      await store.set("sid", ofAda());
      const asked = store.destroyAllOf("ada", { because } as never);
      expect(await refusal(asked)).toMatchObject({ code: "ERR_INVALID_OPTION" });
      expect(await store.get("sid")).not.toBeNull();
    },
  );
});

describe("what it costs", () => {
  test("a read, a save and a touch send what they send without it", async () => {
    const commands = await Promise.all(
      [false as const, endings].map(async (option) => {
        const recorded = record(client);
        const store = makeStore(recorded.client, { endings: option, touchAfter: 0 });
        await store.set("sid", sessionOf());
        const loaded = await load(store, "sid");
        loaded.n = 1;
        await store.set("sid", loaded);
        await store.touch("sid", loaded);
        return recorded.names();
      }),
    );
    expect(commands[1]).toEqual(commands[0]);
  });

  test("an ending sends one command more, in the same trip and before the removal", async () => {
    const store = remembering();
    await store.destroy("warm up: the script is known");
    const held: (() => void)[] = [];
    const recorded = record(client, async (_, reply) => {
      await new Promise<void>((resolve) => held.push(resolve));
      return reply;
    });
    const own = new RedisStore({ client: recorded.client, prefix: store.prefix, endings });
    const removed = own.destroy("sid");
    await until(() => held.length === 2);
    expect(recorded.names()).toEqual(["EVALSHA", "DEL"]);
    // Whoever is told that it has ended can be told why.
    let isOver = false;
    void removed.then(() => {
      isOver = true;
    });
    held[1]?.();
    for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
    expect(isOver).toBe(false);
    held[0]?.();
    expect(await removed).toBe(0);
  });
});

describe("a note that cannot be written prevents no ending", () => {
  let server: Server;
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server?.stop());

  async function atServer<Result>(run: (own: TestClient) => Promise<Result>): Promise<Result> {
    const { client: own, close } = newClient(6, { url: server.url });
    try {
      await own.connect();
      return await run(own);
    } finally {
      close();
    }
  }

  test("no memory is left", () =>
    atServer(async (own) => {
      const store = remembering({ userId }, own);
      await store.set("a", ofAda());
      await store.set("b", ofAda());
      await server.command("CONFIG", "SET", "maxmemory", "1");
      try {
        expect(await store.destroy("a")).toBe(1);
        expect(await store.destroyAllOf("ada")).toBe(1);
        expect(await store.whyGone("a")).toEqual(GONE);
      } finally {
        await server.command("CONFIG", "SET", "maxmemory", "0");
      }
    }));

  test("the Redis user may not", async () => {
    await server.command(
      ...["ACL", "SETUSER", "app", "on", "nopass", "~sess:*", "+get", "+set", "+del", "+evalsha"],
    );
    const { client: own, close } = newClient(6, {
      url: server.url.replace("redis://", "redis://app:any@"),
    });
    try {
      await own.connect();
      const store = new RedisStore({ client: own, endings });
      await store.set("sid", sessionOf());
      expect(await store.destroy("sid")).toBe(1);
      expect(await store.get("sid")).toBeNull();
    } finally {
      close();
    }
  });

  test("a note that is evicted or flushed is no wrong reason", () =>
    atServer(async (own) => {
      const store = remembering({}, own);
      await store.set("sid", sessionOf());
      await store.destroy("sid");
      await store.set("other", sessionOf());
      await server.command("FLUSHALL");
      expect(await store.whyGone("sid")).toEqual(GONE);
      expect(await store.whyGone("other")).toEqual(GONE);
      await server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-random");
      await store.set("sid", sessionOf());
      await store.destroy("sid");
      await server.command("CONFIG", "SET", "maxmemory", "1");
      try {
        await until(async () => (await server.command("DBSIZE")) === 0);
      } finally {
        await server.command("CONFIG", "SET", "maxmemory", "0");
      }
      expect(await store.whyGone("sid")).toEqual(GONE);
    }));
});

describe("in an app", () => {
  const secret = "keyboard cat";

  function makeApp(store = remembering({ userId })) {
    const app = express();
    app.use(session({ secret, resave: false, saveUninitialized: false, store }));
    const own = (req: express.Request) => req.session as unknown as AppSession;
    app.get("/why", async (req, res) => {
      res.json(await whyMissing(req, { secret, store }));
    });
    app.get("/login", (req, res, next) => {
      req.session.regenerate((error) => {
        if (error) return next(error);
        own(req).user = "ada";
        req.session.save(() => res.end());
      });
    });
    app.get("/logout", (req, res, next) => {
      req.session.destroy((error) => (error ? next(error) : res.end()));
    });
    const get = (path: string, cookie?: string) => {
      const asked = request(app).get(path);
      return cookie === undefined ? asked : asked.set("Cookie", cookie);
    };
    return {
      store,
      /** Logs in and gives the session cookie. */
      async login(before?: string): Promise<string> {
        const { headers } = await get("/login", before);
        return String(headers["set-cookie"]?.[0]).split(";")[0] ?? "";
      },
      get,
      why: async (cookie?: string) => (await get("/why", cookie)).body as WhyMissing | null,
    };
  }

  test("a session that is there is not missing", async () => {
    const { login, why } = makeApp();
    expect(await why(await login())).toBeNull();
  });

  test("logout", async () => {
    const { login, get, why } = makeApp();
    const cookie = await login();
    await get("/logout", cookie);
    expect(await why(cookie)).toMatchObject({ reason: "logout" });
  });

  test("regenerated, which is told from a logout", async () => {
    const { login, why } = makeApp();
    const first = await login();
    const second = await login(first);
    expect(second).not.toBe(first);
    expect(await why(first)).toMatchObject({ reason: "regenerated" });
    expect(await why(second)).toBeNull();
  });

  test("revoked on another device", async () => {
    const { login, why, store } = makeApp();
    const cookie = await login();
    await store.destroyAllOf("ada", { because: "logged out on another device" });
    expect(await why(cookie)).toEqual({
      reason: "revoked",
      at: expect.any(String),
      because: "logged out on another device",
    });
  });

  test("no cookie; one that nobody signed; one that expired", async () => {
    const { login, why, store } = makeApp();
    const none = { at: null };
    expect(await why()).toEqual({ reason: "no-cookie", ...none });
    expect(await why("other=1")).toEqual({ reason: "no-cookie", ...none });
    for (const forged of ["connect.sid=s%3Asid.signature", "connect.sid=", "connect.sid=%"]) {
      expect(await why(forged)).toEqual({ reason: "bad-signature", ...none });
    }
    const cookie = await login();
    for (const sid of await store.ids()) await rawOf(client).send("DEL", store.prefix + sid);
    expect(await why(cookie)).toEqual({ reason: "expired-or-evicted", ...none });
  });

  test("a bearer token comes before a cookie", async () => {
    const { login, get } = makeApp();
    const cookie = await login();
    const { body } = await get("/why", cookie).set("Authorization", "Bearer forged.token");
    expect(body).toEqual({ reason: "bad-signature", at: null });
  });

  test.each([[{}], [{ store: {} }], [undefined]])(
    "whyMissing refuses the store %p",
    async (store) => {
      const asked = whyMissing({ headers: {} } as never, { secret, store } as never);
      expect(await refusal(asked)).toMatchObject({ code: "ERR_INVALID_OPTION" });
    },
  );
});

describe("the channel of events", () => {
  let channels: Channels;
  beforeEach(() => {
    channels = listen();
  });
  afterEach(() => channels.stop());

  test("tells of each ending and why, with or without notes", async () => {
    for (const option of [false as const, endings]) {
      const store = makeStore(client, {
        ...{ endings: option, userId, name: "mine" },
        maxSessionsPerUser: 1,
      });
      await store.set("a", ofAda());
      await tick();
      await store.set("b", ofAda());
      await store.destroyAllOf("ada");
      await store.set("c", sessionOf());
      await store.destroy("c");
      await store.destroy("c");
      const told = channels.events.splice(0).filter(({ event }) => event === "ended");
      expect(told).toMatchObject([
        { reason: "limit", store: "mine", handle: store.handleOf("a") },
        { reason: "revoked", handle: store.handleOf("b") },
        { reason: "logout", handle: store.handleOf("c") },
      ]);
    }
  });
});
