import crypto from "node:crypto";
import { gunzipSync, gzipSync } from "node:zlib";
import type { SessionData } from "express-session";
import supertest from "supertest";
import { readSession } from "../../lib/bearer/bearer.js";
import {
  type EncryptionOptions,
  RedisStore,
  type RedisStoreOptions,
  type SessionPage,
} from "../../lib/index.js";
import {
  type AppSession,
  connect,
  freshPrefix,
  makeApp,
  rawOf,
  read,
  refusal,
  sessionOf,
  type TestClient,
  until,
  visit,
} from "../support/store.js";
import { warm } from "../support/tracking.js";

let client: TestClient;
let raw: ReturnType<typeof rawOf>;
beforeAll(async () => {
  client = await connect();
  raw = rawOf(client);
});
afterEach(() => {
  jest.restoreAllMocks();
});

const a = crypto.randomBytes(32);
const b = crypto.randomBytes(32);
const SECRET = "what nobody shall read";

type Options = Omit<Partial<RedisStoreOptions>, "client" | "encryption">;

/** A server of an app, with these keys. */
function server(
  prefix: string,
  encryption: Partial<EncryptionOptions> | (() => EncryptionOptions) | undefined = {},
  options: Options = {},
): RedisStore {
  const whole =
    typeof encryption === "function"
      ? encryption
      : { keys: { a }, write: "a", plaintextUntil: null, ...encryption };
  return new RedisStore({ client, prefix, ...options, encryption: whole });
}

/** A server of the same app that has no keys. */
const blind = (prefix: string, options: Options = {}) =>
  new RedisStore({ client, prefix, ...options });

const textOf = (prefix: string, sid = "sid") => raw.send<string>("GET", prefix + sid);

/** What the store tells by its events. */
function told(store: RedisStore) {
  const events: unknown[][] = [];
  for (const name of ["merged", "discarded", "corrupt"]) {
    store.on(name, (...details: unknown[]) => events.push([name, ...details.slice(1)]));
  }
  return events;
}

/** How often a session is opened and sealed from now on. */
function counted() {
  const opened = jest.spyOn(crypto, "createDecipheriv");
  const sealed = jest.spyOn(crypto, "createCipheriv");
  return () => [opened.mock.calls.length, sealed.mock.calls.length];
}

/** A text with one character changed into another one of base64url. */
function changed(text: string, index: number): string {
  const other = text[index] === "A" ? "B" : "A";
  return text.slice(0, index) + other + text.slice(index + 1);
}

const load = async (store: RedisStore, sid = "sid") => (await store.get(sid)) as AppSession;

describe("a sealed session", () => {
  const BINARY = {
    binary: true,
    parse: (bytes: Buffer): unknown => JSON.parse(gunzipSync(bytes).toString()),
    stringify: (session: object) => gzipSync(JSON.stringify(session)),
  } as const;
  const later = {
    parse: async (text: string) => JSON.parse(text) as unknown,
    stringify: async (session: object) => JSON.stringify(session),
  };

  test.each<[string, Options]>([
    ["by default", {}],
    ["in bytes", { serializer: BINARY }],
    ["with an async serializer", { serializer: later }],
    ["with deadlines", { absoluteTtl: 100, rolling: false }],
    ["without merging", { conflict: "overwrite" }],
    ["without expiry", { disableTTL: true }],
    ["with users", { userId: (session) => (session as unknown as AppSession).user as string }],
  ])("is what every method gives: %s", async (_, options) => {
    const prefix = freshPrefix();
    const store = server(prefix, {}, options);
    const session = { user: "ada", note: SECRET };
    expect(await store.set("sid", sessionOf(session))).toBe("OK");
    expect(await textOf(prefix)).toMatch(/^rss1\.a\.[A-Za-z0-9_-]{100,}$/);
    const other = server(prefix, {}, options);
    const loaded = await load(other);
    expect(loaded).toEqual(sessionOf(session));
    expect(await other.set("sid", Object.assign(loaded, { more: 1 }))).toBe("OK");
    expect(await textOf(prefix)).toMatch(/^rss1\.a\./);
    const all = sessionOf({ ...session, more: 1 });
    expect(await store.all()).toEqual([{ ...all, id: "sid" }]);
    for await (const row of store.sessions()) expect(row.session).toEqual(all);
    expect(await paged(store)).toEqual([all]);
    if (options.userId !== undefined) {
      expect((await store.sessionsOf("ada")).map((row) => row.session)).toEqual([all]);
    }
    expect(await store.length()).toBe(1);
    expect(await store.touch("sid", (await store.get("sid")) as SessionData)).toBe("OK");
    expect(await store.destroy("sid")).toBe(1);
    expect(await store.get("sid")).toBeNull();
  });

  test("is merged, and a logout stays one", async () => {
    const prefix = freshPrefix();
    const store = server(prefix);
    await store.set("sid", sessionOf({ basket: {} }));
    const events = told(store);
    const slow = server(prefix);
    const [one, two] = [await load(store), await load(slow)];
    await server(prefix).set("sid", sessionOf({ basket: {}, theirs: 1 }));
    expect(await store.set("sid", Object.assign(one, { own: 1 }))).toBe("MERGED");
    expect(await load(store)).toEqual(sessionOf({ basket: {}, theirs: 1, own: 1 }));
    await until(() => events.length === 1);
    expect(events).toEqual([["merged", ["/theirs"], []]]);
    await store.destroy("sid");
    expect(await slow.set("sid", Object.assign(two, { own: 1 }))).toBe("GONE");
    expect(await store.get("sid")).toBeNull();
  });

  test("serves an app, its bearer tokens and readSession", async () => {
    const prefix = freshPrefix();
    const store = server(prefix);
    const app = makeApp(store, { "/": visit, "/read": read });
    const agent = supertest.agent(app);
    for (const count of ["1", "2", "3"]) expect((await agent.get("/")).text).toBe(count);
    expect((await agent.get("/read")).body).toEqual({ visits: 3 });
    const [sid] = await store.ids();
    expect(await textOf(prefix, sid)).toMatch(/^rss1\.a\./);
    const cookie = (await supertest(makeApp(store, { "/": visit })).get("/")).get(
      "set-cookie",
    )?.[0];
    const request = { headers: { cookie } } as unknown as Parameters<typeof readSession>[0];
    const session = await readSession(request, { store, secret: "test" });
    expect(session).toMatchObject({ visits: 1 });
  });

  test("costs one opening a read, and none where it is not read", async () => {
    const prefix = freshPrefix();
    const store = server(prefix);
    await store.set("sid", sessionOf({ a: 1 }));
    const count = counted();
    const loaded = await load(store);
    expect(count()).toEqual([1, 0]);
    await store.touch("sid", loaded);
    expect(count()).toEqual([1, 0]);
    // A save that changes nothing.
    expect(await store.set("sid", loaded)).toBe("OK");
    expect(count()[0]).toBe(1);
    const before = count()[1] as number;
    expect(await store.set("sid", Object.assign(loaded, { b: 2 }))).toBe("OK");
    expect(count()).toEqual([1, before + 1]);
    expect(await store.set("sid", Object.assign(loaded, { b: 3 }))).toBe("OK");
    expect(count()).toEqual([1, before + 2]);
  });

  test("is renewed where somebody has sealed the very same since, and not otherwise", async () => {
    const prefix = freshPrefix();
    const store = server(prefix);
    const session = sessionOf({ note: "long".repeat(1000) });
    const left = async () => {
      await raw.send("PEXPIRE", `${prefix}sid`, "60000");
      await store.touch("sid", await load(store));
      return raw.pttl(`${prefix}sid`);
    };
    await store.set("sid", session);
    await left();
    expect(await left()).toBeLessThanOrEqual(60_000);
    await server(prefix).set("sid", session);
    expect(await left()).toBeGreaterThan(60_000);
  });

  test("costs a merge one opening and one sealing", async () => {
    const prefix = freshPrefix();
    const store = server(prefix);
    await store.set("sid", sessionOf({ a: 1 }));
    const loaded = await load(store);
    await server(prefix).set("sid", sessionOf({ a: 1, b: 2 }));
    const count = counted();
    expect(await store.set("sid", Object.assign(loaded, { c: 3 }))).toBe("MERGED");
    // The first attempt has sealed what nobody took.
    expect(count()).toEqual([1, 2]);
  });

  test("costs a read from memory nothing", async () => {
    const prefix = freshPrefix();
    const store = server(prefix, {}, { cache: { max: 10 } });
    try {
      for (const sid of ["other", "sid"]) await store.set(sid, sessionOf({ a: 1 }));
      await warm(store, "other");
      // Read once from Redis, and opened for that.
      await load(store);
      const count = counted();
      for (let times = 0; times < 10; times++)
        expect(await load(store)).toEqual(sessionOf({ a: 1 }));
      expect(count()).toEqual([0, 0]);
    } finally {
      store.close();
    }
  });
});

describe("whoever can write to Redis", () => {
  test("cannot change one character", async () => {
    const prefix = freshPrefix();
    const store = server(prefix);
    await store.set("sid", sessionOf({ admin: false }));
    const text = await textOf(prefix);
    const loaded = await load(store);
    for (let index = 0; index < text.length; index++) {
      const other = changed(text, index);
      await raw.set(`${prefix}sid`, other);
      const code = (await refusal(store.get("sid"))).code ?? "none";
      // Without the first characters it is a text that nobody sealed, and counts as missing.
      if (/^rss\d+\./.test(other)) {
        expect([index, code]).toEqual([index, expect.stringMatching(/^ERR_(CORRUPT|UNKNOWN)_/)]);
      } else expect(await store.get("sid")).toBeNull();
    }
    // Nor is what was changed taken for a missing session by a save, or overwritten.
    const other = changed(text, text.length - 30);
    await raw.set(`${prefix}sid`, other);
    const failure = await refusal(store.set("sid", Object.assign(loaded, { own: 1 })));
    expect(failure.code).toBe("ERR_CORRUPT_SESSION");
    expect(await textOf(prefix)).toBe(other);
  });

  test("cannot put one session in the place of another", async () => {
    const [prefix, elsewhere] = [freshPrefix(), freshPrefix()];
    const store = server(prefix);
    await store.set("admin", sessionOf({ admin: true }));
    await store.set("sid", sessionOf({ admin: false }));
    const text = await textOf(prefix, "admin");
    await raw.set(`${prefix}sid`, text);
    expect((await refusal(store.get("sid"))).code).toBe("ERR_UNKNOWN_KEY");
    await raw.set(`${elsewhere}admin`, text);
    expect((await refusal(server(elsewhere).get("admin"))).code).toBe("ERR_UNKNOWN_KEY");
    const staging = server(prefix, { context: "staging" });
    expect((await refusal(staging.get("admin"))).code).toBe("ERR_UNKNOWN_KEY");
    expect(await load(store, "admin")).toEqual(sessionOf({ admin: true }));
  });

  test("cannot make one", async () => {
    const prefix = freshPrefix();
    const store = server(prefix);
    const events = told(store);
    await raw.set(`${prefix}sid`, JSON.stringify(sessionOf({ admin: true })));
    expect(await store.get("sid")).toBeNull();
    await until(() => events.length > 0);
    expect(events).toEqual([["discarded", "plaintext"]]);
    expect(await store.all()).toEqual([]);
    for await (const row of store.sessions()) throw new Error(`listed ${row.handle}`);
    expect((await store.page({})).entries).toEqual([]);
    // It is there nevertheless, and whoever wants may end it.
    expect(await store.ids()).toEqual(["sid"]);
    expect(await store.destroy("sid")).toBe(1);
  });

  test("cannot put off a deadline", async () => {
    const prefix = freshPrefix();
    const store = server(prefix, {}, { absoluteTtl: 0.05 });
    await store.set("sid", sessionOf());
    await raw.send("PERSIST", `${prefix}sid`);
    await until(async () => (await store.get("sid")) === null);
    expect(await raw.exists(`${prefix}sid`)).toBe(true);
  });
});

describe("without the key", () => {
  const cases: [string, (prefix: string, options?: Options) => RedisStore][] = [
    ["no encryption", blind],
    ["another key", (prefix, options) => server(prefix, { keys: { b }, write: "b" }, options)],
    ["other bytes", (prefix, options) => server(prefix, { keys: { a: b } }, options)],
    [
      "writing plain ones",
      (prefix, options) => server(prefix, { keys: { b }, write: null }, options),
    ],
  ];

  describe.each(cases)("%s", (_, other) => {
    test("nothing takes a sealed session for a missing one, and nothing removes it", async () => {
      const prefix = freshPrefix();
      const owner = server(prefix);
      await owner.set("sid", sessionOf({ note: SECRET }));
      const text = await textOf(prefix);
      const loaded = await load(owner);
      const store = other(prefix);
      const error = await refusal(store.get("sid"));
      expect(error.code).toBe("ERR_UNKNOWN_KEY");
      expect(error.message).toMatch(/encryption|key/);
      const app = makeApp(store, { "/": visit });
      // express-session would make a new session of a missing one.
      await owner.set("0123456789abcdef", sessionOf());
      const signed = await supertest(app).get("/").set("Cookie", cookieOf("0123456789abcdef"));
      expect(signed.status).toBe(500);
      expect(app.errors).toEqual([expect.objectContaining({ code: "ERR_UNKNOWN_KEY" })]);
      expect(await textOf(prefix)).toBe(text);
      expect(await owner.set("sid", Object.assign(loaded, { own: 1 }))).toBe("OK");
    });

    test("a save on top of it fails, and leaves it", async () => {
      const prefix = freshPrefix();
      const store = other(prefix);
      await store.set("sid", sessionOf());
      const loaded = await load(store);
      await server(prefix).set("sid", sessionOf({ note: SECRET }));
      const text = await textOf(prefix);
      const error = await refusal(store.set("sid", Object.assign(loaded, { own: 1 })));
      expect(error.code).toBe("ERR_UNKNOWN_KEY");
      expect(await textOf(prefix)).toBe(text);
    });

    test("listings leave it out and say so", async () => {
      const prefix = freshPrefix();
      await server(prefix).set("sealed", sessionOf());
      const store = other(prefix);
      await store.set("own", sessionOf());
      const events = told(store);
      expect((await store.all()).map(({ id }) => id)).toEqual(["own"]);
      await until(() => events.length > 0);
      expect(events).toEqual([["corrupt", expect.objectContaining({ code: "ERR_UNKNOWN_KEY" })]]);
      expect(await store.length()).toBe(2);
    });

    test("destroy and clear need none", async () => {
      const prefix = freshPrefix();
      const owner = server(prefix);
      await owner.set("one", sessionOf());
      await owner.set("two", sessionOf());
      expect(await other(prefix).destroy("one")).toBe(1);
      expect(await other(prefix).clear()).toBe(1);
      expect(await owner.ids()).toEqual([]);
    });

    test("destroyAllOf ends what the index names", async () => {
      const prefix = freshPrefix();
      const userId = (session: SessionData) => (session as AppSession).user as string;
      const owner = server(prefix, {}, { userId });
      for (const sid of ["1", "2"]) await owner.set(sid, sessionOf({ user: "ada" }));
      await owner.set("3", sessionOf({ user: "bob" }));
      const store = other(prefix, { userId });
      expect(await store.sessionsOf("ada")).toEqual([]);
      expect(await store.destroyAllOf("ada")).toBe(2);
      expect(await owner.ids()).toEqual(["3"]);
      expect(await owner.sessionsOf("ada")).toEqual([]);
    });

    test("destroyAllOf with scan ends what it can, and then says what it cannot tell", async () => {
      const prefix = freshPrefix();
      const userId = (session: SessionData) => (session as AppSession).user as string;
      const ada = sessionOf({ user: "ada" });
      // Neither of these is in the index.
      for (const sid of ["1", "2"]) await server(prefix).set(sid, ada);
      await other(prefix).set("own", ada);
      const store = other(prefix, { userId });
      await store.set("indexed", ada);
      const error = await refusal(store.destroyAllOf("ada", { scan: true }));
      expect(error).toMatchObject({ code: "ERR_UNKNOWN_KEY", removed: 2, unreadable: 2 });
      expect((await store.ids()).sort()).toEqual(["1", "2"]);
      expect(await server(prefix, {}, { userId }).destroyAllOf("ada", { scan: true })).toBe(2);
    });
  });
});

function cookieOf(sid: string): string {
  const signature = crypto.createHmac("sha256", "test").update(sid).digest("base64");
  return `connect.sid=${encodeURIComponent(`s:${sid}.${signature.replace(/=+$/, "")}`)}`;
}

/** The sessions of all pages; others use the server too, so one page may be empty. */
async function paged(store: RedisStore): Promise<SessionData[]> {
  const sessions: SessionData[] = [];
  let cursor: string | null = null;
  do {
    const page: SessionPage = await store.page({ cursor, limit: 1000 });
    for (const { session } of page.entries) sessions.push(session);
    cursor = page.cursor;
  } while (cursor !== null);
  return sessions;
}
